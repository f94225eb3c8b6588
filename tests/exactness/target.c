// Makes a known number of calls with known arguments into a function that exactness tests probe.
//
//   target THREADS CALLS MS   every thread calls crumbs_hit(thread, number, value, text) for number 0 to
//                             CALLS - 1; text is a long one of the thread's own. They are spread over
//                             at least MS milliseconds.
//
// `value_of` has a twin in truth.rs.
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXT = 400, PAUSES = 16 };

// A nop is emulated by the kernel, so that a probe on it costs one trap rather than two.
__asm__(".text\n"
        ".globl crumbs_hit\n"
        ".type crumbs_hit, %function\n"
        "crumbs_hit:\n"
        "  nop\n"
        "  ret\n"
        ".size crumbs_hit, . - crumbs_hit\n");
void crumbs_hit(uint64_t thread, uint64_t number, uint64_t value, const char *text);

static pthread_barrier_t start;
static uint64_t calls;
static uint64_t least;

static uint64_t value_of(uint64_t thread, uint64_t number) {
  return (number * UINT64_C(2654435761) + thread * UINT64_C(40503)) >> 7 & 4095;
}

// Waits until a time after `begun`.
static void pause_until(const struct timespec *begun, uint64_t milliseconds) {
  uint64_t nanoseconds = (uint64_t)begun->tv_nsec + milliseconds % 1000 * 1000000;
  struct timespec due = {begun->tv_sec + (time_t)(milliseconds / 1000 + nanoseconds / 1000000000),
                         (long)(nanoseconds % 1000000000)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL)) {}
}

static void *work(void *argument) {
  uint64_t thread = (uint64_t)argument;
  char text[TEXT];
  memset(text, 'a' + (int)thread, TEXT - 1);
  text[TEXT - 1] = 0;
  pthread_barrier_wait(&start);
  struct timespec begun;
  clock_gettime(CLOCK_MONOTONIC, &begun);
  uint64_t pauses = 1;
  for (uint64_t number = 0; number < calls; number++) {
    if (number * PAUSES >= pauses * calls) pause_until(&begun, least * pauses++ / PAUSES);
    crumbs_hit(thread, number, value_of(thread, number), text);
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  unsigned threads = (unsigned)atoi(argv[1]);
  calls = strtoull(argv[2], NULL, 10);
  least = strtoull(argv[3], NULL, 10);
  pthread_t *all = calloc(threads, sizeof *all);
  pthread_barrier_init(&start, NULL, threads);
  for (uint64_t i = 0; i < threads; i++)
    if (pthread_create(&all[i], NULL, work, (void *)i)) return 1;
  for (unsigned i = 0; i < threads; i++) pthread_join(all[i], NULL);
  return 0;
}
