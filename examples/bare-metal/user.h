/* What the kernel and a task in ring 3 agree on: where things lie, the ring, and the job that a task is given. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USER_CODE 0x40000000ull
#define USER_PAGE 0x40080000ull       /* struct task_page, the task's own; its stack is the page behind it */
#define USER_STACK_TOP 0x40082000ull
#define USER_MAILBOX 0x40082000ull    /* one word, the same memory in all tasks */
#define USER_REGION 0x40100000ull     /* memory that is there when it is touched */
#define REGION_PAGES 256u
#define PAGE_BYTES 4096u
#define RING_ENTRIES 32u
#define NOBODY 99u                    /* no task has this number */

enum operation { OP_NOP, OP_WAKE, OP_PARK, OP_SLEEP, OP_UNMAP, OP_EXIT, OPERATIONS };
enum program { NOPS, REFUSED, READY, PING, PONG, SLEEPER, TOUCHER };

struct submission {
    uint64_t operation, argument, cookie;
};

struct completion {
    uint64_t cookie;
    int64_t result;
};

/* A task puts submissions at sq_tail and enters the kernel, which takes them and puts completions at cq_tail. */
struct ring {
    uint32_t sq_head, sq_tail, cq_head, cq_tail;
    struct submission submissions[RING_ENTRIES];
    struct completion completions[RING_ENTRIES];
};

/* What a task is to do, and its own account of what it did. Counts go on from sample to sample. */
struct job {
    uint64_t program, operations, self, partner, delay;
    uint64_t elapsed;                                   /* of the last sample, in ticks */
    uint64_t cookie, completed, wrong_cookies;          /* of the ring */
    uint64_t refused, passed;                           /* REFUSED, READY */
    uint64_t round_trips, served;                       /* PING, PONG */
    uint64_t wakes, early;                              /* SLEEPER */
    uint64_t verified, dirty;                           /* TOUCHER */
};

struct task_page {
    struct ring ring;
    struct job job;
};

/* lfence: the clock is not read before everything in front of it is done. */
static inline uint64_t ticks(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}
