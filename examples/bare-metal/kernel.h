/* Everything that the kernel's files know of each other. */
#pragma once
#include "user.h"

typedef uint64_t frame_t; /* physical address of a free or used page; mapped to itself */

enum { PRESENT = 1, WRITABLE = 2, USER = 4, UNCACHED = 0x10, LARGE = 0x80 };

struct start_info { /* what PVH hands over, as far as it is read */
    uint32_t magic, version, flags, modules;
    uint64_t module_list, command_line;
};

struct frame { /* what trap_entry pushes */
    uint64_t r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax, vector, error, rip, cs, flags, rsp, ss;
};

struct task {
    uint64_t stack_pointer, stack_top;
    uint64_t page_root, own_root; /* in use; of its own address space */
    enum { FREE, RUNNABLE, PARKED } state;
    bool wake_pending; /* somebody woke it before it parked */
    struct task_page *page;
    uint64_t *table; /* of its pages from USER_CODE on */
};

/* `operations` in a sample take about a millisecond. `finish` prints the evidence, and returns what is wrong, if
   the kernel itself noticed that something is. */
struct benchmark {
    const char *name, *mechanism;
    uint64_t operations;
    void (*prepare)(void);
    uint64_t (*sample)(uint64_t operations); /* the ticks that it took */
    const char *(*finish)(void);
};

/* console.c */
void console_open(void);
void write(const char *format, ...);                        /* %s, %u: uint64_t, %x: uint64_t with all digits */
void say(const char *format, ...);                          /* a line of the protocol, and a counted one */
extern uint64_t lines_said;
extern enum next_sample { WHOLE, CUT, LOST } next_sample;
_Noreturn void panic(const char *format, ...);
_Noreturn void leave(uint8_t code);

/* clock.c */
extern uint64_t hz;
void clock_calibrate(void);
void clock_alarm(uint64_t ticks_ahead);                     /* interrupts once, when the PIT has counted so far */
void clock_wait(uint64_t deadline);                         /* halts until then */
void alarm_rang(void);

/* cpu.c */
void cpu_open(void);
void trap(struct frame *frame);
extern uint64_t kernel_stack;                               /* of the running task, for entry.S */
void enter_on(uint64_t stack_top);
static inline void out8(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static inline uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* pages.c */
extern uint64_t page_root[512], page_directories[512];
extern uint64_t given_on_fault;                             /* frames given to a task that touched its region */
void pages_open(void);
void *map_device(uint64_t address);
frame_t frame_take(void);
void frame_give(frame_t frame);
void frame_clear(frame_t frame);
extern void (*clear_page)(frame_t frame);                   /* of a page that a task is given */
uint64_t *window_entry(uint32_t page);                      /* the kernel's own window: 512 pages, mapped at will */
uint64_t *window_address(uint32_t page);
void address_space_make(struct task *task);
bool page_fault(uint64_t address);                          /* whether there is a page now */
int64_t region_unmap(void);
static inline void flush(const void *address) { __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory"); }

/* tasks.c */
extern struct task tasks[3], *current;                      /* 0 is what began in kernel_main */
extern uint64_t entries, overflows;                         /* into the kernel by the ring; completions without room */
#define NOT_COMPLETE INT64_MIN                              /* in place of a result: no completion is due yet */
extern int64_t (*operations[OPERATIONS])(uint64_t argument);
void tasks_open(void);
void task_begin(struct task *task, void (*kernel_code)(void)); /* or, if NULL, what its job says, in ring 3 */
void tasks_run(void);                                       /* returns when all that were begun have ended */
void yield(void);
void ring_enter(void);
void complete(struct ring *ring, uint64_t cookie, int64_t result);

/* entry.S */
extern char syscall_entry[], syscall_return[], trap_stubs[], touch_failed[];
void switch_stacks(uint64_t *from, uint64_t to);
bool touch(const void *address);

/* benchmarks.c, sha256.c, user.c, faults.c */
extern struct benchmark benchmarks[];
extern const unsigned benchmark_count;
extern void (*copier)(void), (*hasher)(const uint8_t *, uint64_t, uint8_t[32]);
uint64_t sample_maps_without_flush(uint64_t count);
void sha256(const uint8_t *data, uint64_t bytes, uint8_t digest[32]);
_Noreturn void user_start(void);
void plant(const char *fault);

/* kernel.c */
enum { WORD = 80 };
extern char token[WORD];
extern const struct benchmark *under_way;
extern void (*trailer)(void), (*farewell)(void);
void leave_well(void);
bool same(const char *left, const char *right);
