/* Tasks, who runs next, and the ring by which a task in ring 3 asks for something. One CPU; nobody is interrupted. */
#include "kernel.h"

enum { STACK_BYTES = 8192, SAVED_REGISTERS = 6, TASKS = 3 };

struct task tasks[TASKS], *current = tasks;
uint64_t entries, overflows;
static uint8_t stacks[TASKS][STACK_BYTES] __attribute__((aligned(16)));

static void switch_to(struct task *next)
{
    struct task *previous = current;
    if (next == previous) return;
    current = next;
    enter_on(next->stack_top);
    if (next->page_root != previous->page_root) __asm__ volatile("mov %0, %%cr3" : : "r"(next->page_root) : "memory");
    switch_stacks(&previous->stack_pointer, next->stack_pointer);
}

/* The next that can run, in turn. That nobody can is a lost wake-up: there is no one left to mend it. */
static void schedule(void)
{
    for (unsigned turn = 1; turn <= TASKS; turn++) {
        struct task *next = &tasks[(unsigned)(current - tasks + turn) % TASKS];
        if (next->state == RUNNABLE) { switch_to(next); return; }
    }
    panic("no task can run: a wake-up was lost");
}

void yield(void)
{
    schedule();
}

static void wake(struct task *task)
{
    if (task->state == PARKED) task->state = RUNNABLE;
    else task->wake_pending = true;
}

static void park(void)
{
    if (current->wake_pending) { current->wake_pending = false; return; }
    current->state = PARKED;
    schedule();
}

static int64_t op_nop(uint64_t unused) { (void)unused; return 0; }
static int64_t op_park(uint64_t unused) { (void)unused; park(); return 0; }
static int64_t op_sleep(uint64_t deadline) { clock_wait(deadline); return 0; }
static int64_t op_unmap(uint64_t unused) { (void)unused; return region_unmap(); }

static int64_t op_wake(uint64_t task)
{
    if (task >= TASKS || tasks[task].state == FREE) return -1;
    wake(&tasks[task]);
    return 0;
}

static int64_t op_exit(uint64_t unused)
{
    (void)unused;
    current->state = FREE;
    if (tasks[1].state == FREE && tasks[2].state == FREE) wake(&tasks[0]);
    schedule();
    panic("a task that had ended went on");
}

int64_t (*operations[OPERATIONS])(uint64_t) = { op_nop, op_wake, op_park, op_sleep, op_unmap, op_exit };

void complete(struct ring *ring, uint64_t cookie, int64_t result)
{
    if (ring->cq_tail - ring->cq_head >= RING_ENTRIES) { overflows++; return; }
    ring->completions[ring->cq_tail % RING_ENTRIES] = (struct completion){ cookie, result };
    ring->cq_tail++;
}

/* What `syscall` comes to. The ring is the task's memory, so nothing in it is believed; it is read where the kernel
   has it, never through the task's address. */
void ring_enter(void)
{
    struct ring *ring = &current->page->ring;
    entries++;
    for (unsigned taken = 0; taken < RING_ENTRIES && ring->sq_head != ring->sq_tail; taken++) {
        struct submission asked = ring->submissions[ring->sq_head++ % RING_ENTRIES];
        int64_t result = asked.operation < OPERATIONS ? operations[asked.operation](asked.argument) : -1;
        if (result != NOT_COMPLETE) complete(ring, asked.cookie, result);
    }
}

/* Its stack looks as if it had entered the kernel before and been switched from: see entry.S. */
void task_begin(struct task *task, void (*kernel_code)(void))
{
    uint64_t *stack = (uint64_t *)task->stack_top;
    if (kernel_code) {
        *--stack = 0; /* where a caller's address would be; also keeps the stack aligned */
        *--stack = (uint64_t)kernel_code;
    } else {
        *--stack = USER_STACK_TOP;
        *--stack = (uint64_t)user_start;
        *--stack = 0x2; /* flags: interrupts stay off */
        *--stack = (uint64_t)syscall_return;
    }
    for (int i = 0; i < SAVED_REGISTERS; i++) *--stack = 0;
    task->stack_pointer = (uint64_t)stack;
    task->page_root = kernel_code ? tasks[0].page_root : task->own_root;
    task->wake_pending = false;
    task->state = RUNNABLE;
}

void tasks_run(void)
{
    park();
}

void tasks_open(void)
{
    for (unsigned i = 0; i < TASKS; i++) {
        tasks[i].stack_top = (uint64_t)(stacks[i] + STACK_BYTES);
        if (i) address_space_make(&tasks[i]);
    }
    tasks[0].page_root = (uint64_t)page_root;
    tasks[0].state = RUNNABLE;
}
