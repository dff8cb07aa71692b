/* What runs in ring 3. It has its page, its stack, a mailbox that all tasks share, and one system call: look at
   my ring. It counts what it did itself; the kernel prints these counts as evidence. */
#include "user.h"

#define PAGE ((struct task_page *)USER_PAGE)
#define MAILBOX ((volatile uint64_t *)USER_MAILBOX)
#define REGION(page) ((volatile uint64_t *)(USER_REGION + (page) * PAGE_BYTES))

__attribute__((noinline)) static void enter(void)
{
    __asm__ volatile("syscall" : : : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
}

static void submit(uint64_t operation, uint64_t argument)
{
    struct ring *ring = &PAGE->ring;
    uint64_t cookie = ++PAGE->job.cookie;
    ring->submissions[ring->sq_tail % RING_ENTRIES] = (struct submission){ operation, argument, cookie };
    ring->sq_tail++;
}

/* All completions that are there; each must carry the cookie of the submission that is its turn. */
static int64_t collect(unsigned submitted)
{
    struct ring *ring = &PAGE->ring;
    int64_t result = -1;
    uint64_t expected = PAGE->job.cookie - submitted;
    while (ring->cq_head != ring->cq_tail) {
        struct completion done = ring->completions[ring->cq_head++ % RING_ENTRIES];
        if (done.cookie == ++expected) PAGE->job.completed++;
        else PAGE->job.wrong_cookies++;
        result = done.result;
    }
    return result;
}

static int64_t call(uint64_t operation, uint64_t argument)
{
    submit(operation, argument);
    enter();
    return collect(1);
}

static void run_nops(struct job *job)
{
    uint64_t begin = ticks();
    for (uint64_t i = 0; i < job->operations; i++) call(OP_NOP, 0);
    job->elapsed = ticks() - begin;
}

/* Who asks for a task that does not exist must be told so. */
static void run_refused(struct job *job)
{
    uint64_t begin = ticks();
    for (uint64_t i = 0; i < job->operations; i++) job->refused += call(OP_WAKE, NOBODY) == -1;
    job->elapsed = ticks() - begin;
}

/* Wake a task and park, by one entry. */
static int64_t hand_over(uint64_t task)
{
    submit(OP_WAKE, task);
    submit(OP_PARK, 0);
    enter();
    return collect(2);
}

/* It wakes itself before it parks: the park must find that, and not wait. */
static void run_ready(struct job *job)
{
    uint64_t begin = ticks();
    for (uint64_t i = 0; i < job->operations; i++) job->passed += hand_over(job->self) == 0;
    job->elapsed = ticks() - begin;
}

static void run_ping(struct job *job)
{
    uint64_t begin = ticks();
    for (uint64_t token = 0; token < 2 * job->operations; token += 2) {
        *MAILBOX = token;
        hand_over(job->partner);
        job->round_trips += *MAILBOX == token + 1;
    }
    job->elapsed = ticks() - begin;
}

static void run_pong(struct job *job)
{
    call(OP_PARK, 0);
    for (uint64_t i = 0; i < job->operations; i++) {
        *MAILBOX += 1;
        job->served++;
        if (i + 1 < job->operations) hand_over(job->partner);
        else call(OP_WAKE, job->partner);
    }
}

static void run_sleeper(struct job *job)
{
    uint64_t late = 0;
    for (uint64_t i = 0; i < job->operations; i++) {
        uint64_t deadline = ticks() + job->delay;
        job->wakes += call(OP_SLEEP, deadline) == 0;
        uint64_t back = ticks();
        if (back < deadline) job->early++;
        else late += back - deadline;
    }
    job->elapsed = late;
}

/* As memory.mmap_fault does it elsewhere: a word is written to each fresh page, another one of it must be zero.
   A sample is the whole region, so each page is read back, when the clock no longer runs. */
static void run_toucher(struct job *job)
{
    uint64_t begin = ticks();
    call(OP_UNMAP, 0);
    for (uint64_t page = 0; page < REGION_PAGES; page++) {
        REGION(page)[0] = page + 1;
        job->dirty += REGION(page)[PAGE_BYTES / 8 - 1] != 0;
    }
    job->elapsed = ticks() - begin;
    for (uint64_t page = 0; page < REGION_PAGES; page++) {
        job->verified += REGION(page)[0] == page + 1;
        REGION(page)[PAGE_BYTES / 8 - 1] = ~0ull; /* whoever gets this memory next must not find it */
    }
}

void user_start(void)
{
    struct job *job = &PAGE->job;
    switch (job->program) {
    case NOPS: run_nops(job); break;
    case REFUSED: run_refused(job); break;
    case READY: run_ready(job); break;
    case PING: run_ping(job); break;
    case PONG: run_pong(job); break;
    case SLEEPER: run_sleeper(job); break;
    case TOUCHER: run_toucher(job); break;
    }
    for (;;) call(OP_EXIT, 0);
}
