// Static probes (USDT), without the header that usually makes them: a nop, and a note that says where it is, where its
// semaphore is and where the arguments are. The layout of the notes is that of systemtap's wiki page
// "UserSpaceProbeImplementation".
#include <stdio.h>
#include <stdlib.h>

#define TEXT(x) #x
#define PROBE(name, semaphore, arguments, ...)                                                                         \
    __asm__ volatile("990: nop\n"                                                                                      \
                     ".pushsection .note.stapsdt, \"?\", \"note\"\n"                                                   \
                     ".balign 4\n"                                                                                     \
                     ".4byte 992f-991f, 994f-993f, 3\n"                                                                \
                     "991: .asciz \"stapsdt\"\n"                                                                       \
                     "992: .balign 4\n"                                                                                \
                     "993: .8byte 990b\n"                                                                              \
                     ".8byte _.stapsdt.base\n"                                                                         \
                     ".8byte " TEXT(semaphore) "\n"                                                                    \
                     ".asciz \"live\"\n"                                                                               \
                     ".asciz \"" name "\"\n"                                                                           \
                     ".asciz \"" arguments "\"\n"                                                                      \
                     "994: .balign 4\n"                                                                                \
                     ".popsection\n"                                                                                   \
                     ".ifndef _.stapsdt.base\n"                                                                        \
                     ".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n"                       \
                     ".weak _.stapsdt.base\n"                                                                          \
                     ".hidden _.stapsdt.base\n"                                                                        \
                     "_.stapsdt.base: .space 1\n"                                                                      \
                     ".size _.stapsdt.base, 1\n"                                                                       \
                     ".popsection\n"                                                                                   \
                     ".endif\n" ::__VA_ARGS__)

// Above 0 while the probe `guarded` is traced.
__attribute__((section(".probes"), used)) unsigned short live_guarded_semaphore;
// The fields are read through memory operands.
static struct { int first; long second; short third[4]; } values = {-7, 1L << 40, {1, -2, 3, -4}};

int main(int argc, char **argv) {
    long rounds = argc > 1 ? atol(argv[1]) : 1;
    if (argc > 2)
        getchar();
    for (long i = 0; i < rounds; i++) {
        // Registers of several sizes and signs, a constant.
        PROBE("registers", 0, "-4@%%edi 8@%%rsi -1@%%dl 2@%%cx 4@$42 -4@$-5", "D"(-3), "S"(1L << 33), "d"(0x1fe), "c"(0x12345));
        // Memory: base, base with displacement, base with index and scale.
        PROBE("memory", 0, "-4@(%%rax) 8@8(%%rax) -2@16(%%rax,%%rbx,2)", "a"(&values), "b"(3L), "m"(values));
        // A string by its address.
        PROBE("text", 0, "8@%%rdi", "D"("static text"));
        if (*(volatile unsigned short *)&live_guarded_semaphore)
            PROBE("guarded", live_guarded_semaphore, "8@%%rdi", "D"(i));
        // One probe at two places, whose argument is at a different place each time.
        PROBE("twice", 0, "8@%%rdi", "D"(i + 100));
        register long elsewhere __asm__("r9") = i + 200;
        PROBE("twice", 0, "8@%%r9", "r"(elsewhere));
    }
    return 0;
}
