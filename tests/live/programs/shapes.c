// Calls functions with pointers to values of every shape that C has.
#include <stdint.h>

struct grid {
	int row[4];
	short cell[2][3];
	int *corner[2];
};

struct flags {
	unsigned int mode : 4, level : 8, kind : 3, on : 1, rest : 16;
	short delta : 5, wide : 11;
	long span : 37;
	_Bool ready : 1;
	int whole : 32;
};

union number {
	int all;
	struct {
		short low, high;
	};
	unsigned char byte[4];
};

struct part {
	uint8_t id;
	union number n;
};

struct whole {
	int head;
	struct {
		int x, y;
	} at;
	union {
		int left;
		unsigned int right;
	};
	struct part part[3];
	enum { SMALL, LARGE = 5 } size;
	char name[8];
	const char *text;
	struct whole *next;
};

__attribute__((noinline)) void see_grid(struct grid *grid)
{
	asm volatile("" : : "r"(grid) : "memory");
}

__attribute__((noinline)) void see_flags(struct flags *flags)
{
	asm volatile("" : : "r"(flags) : "memory");
}

__attribute__((noinline)) void see_whole(struct whole *whole, struct whole **behind)
{
	asm volatile("" : : "r"(whole), "r"(behind) : "memory");
}

int main(void)
{
	int one = 11, two = 22;
	struct grid grid = { { 1, 2, 3, 4 }, { { 5, 6, 7 }, { 8, 9, -10 } }, { &one, &two } };
	struct flags flags = { 1, 217, 5, 0, 65535, -3, 1000, -2, 1, -9 };
	struct whole second = { .head = 2, .name = "last", .text = "the end" };
	struct whole first = {
		.head = 1,
		.at = { 20, 30 },
		.left = -1,
		.part = { { 1, { 0x00020001 } }, { 2, { 0x00040003 } }, { 3, { 0x00060005 } } },
		.size = LARGE,
		.name = "12345678",
		.text = "a text",
		.next = &second,
	};
	struct whole *behind = &first;

	see_grid(&grid);
	see_flags(&flags);
	see_whole(&first, &behind);
	return 0;
}
