#define N (3 + sizeof(int))
#define BIT(n) (1UL << (n))
#if defined(X) || N > 2
struct a { char c; unsigned x : 3, : 0, y : 9; struct { int i[N]; union { long l; char t[8]; }; } in; } __attribute__((packed, aligned(8)));
#elif 1
#include <linux/fs.h>
#else
#include "shapes.h"
#endif
#pragma pack(push, 1)
enum color { RED = 1 << 2, BLUE = BIT(3), } __attribute__((packed));
typedef struct a *(*fn_t)(const char *restrict, enum color); union u { fn_t f; struct list_head l; const char *s; };
static inline int f(int x) { return x ? 'a' : "b\x41"[0]; }
