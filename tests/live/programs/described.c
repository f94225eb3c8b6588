// Functions whose parameters are passed in every way that the calling conventions of C have. Compiled with -g.

struct point {
  int x;
  short y;
  char z;
};

struct pair {
  long first;
  int second;
};

struct large {
  long words[5];
};

struct node {
  int value;
  char name[10];
  int list[3];
  struct node *next;
  struct pair inner;
  union {
    unsigned int whole;
    unsigned char bytes[4];
  };
  unsigned low : 3;
  int high : 5;
};

struct opaque;

enum shade { DARK, BRIGHT = 5 };

typedef unsigned int counter;

#define NOINLINE __attribute__((noinline, noclone))

NOINLINE int small(int *where, char letter) { __asm__ volatile("" ::: "memory"); return *where + letter; }

NOINLINE struct node *find(struct node *node, struct opaque *unknown) {
  __asm__ volatile("" ::: "memory");
  return unknown ? 0 : node->next;
}

NOINLINE int values(struct point point, struct pair pair, struct large large, enum shade shade, _Bool flag, double real,
                    int sixth, int seventh, short last) {
  __asm__ volatile("" ::: "memory");
  return point.x + pair.second + large.words[1] + shade + flag + (int)real + sixth + seventh + last;
}

NOINLINE struct large make(counter count) {
  struct large large = {{count}};
  __asm__ volatile("" ::: "memory");
  return large;
}

static inline __attribute__((always_inline)) int square(int n) {
  volatile int result = n * n;
  return result;
}

int main(int argc, char **argv) {
  int number = 13;
  small(&number, 'x');
  struct node last = {7, "last", {4, 5, 6}, 0, {1, 2}, {0x04030201}, 1, 1};
  struct node first = {123, "first", {1, 2, 3}, &last, {-1, -2}, {0x04030201}, 5, -3};
  __asm__ volatile("" ::"r"(&first), "r"(&last) : "memory");
  find(&first, 0);
  struct point point = {1, -2, 'z'};
  struct pair pair = {3, -4};
  struct large large = {{10, 11, 12, 13, 14}};
  values(point, pair, large, BRIGHT, 1, 2.5, 66, 77, -8);
  make(21);
  return square(number) + argc + (argv == 0) < 0;  // a line of its own
}
