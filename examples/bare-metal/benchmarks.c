/* What is measured, and what is shown for it. Each sample is timed as a whole; the evidence counts every operation of
   warm-ups and samples, so that work that was left out is missed. */
#include "kernel.h"

enum { COPY_BYTES = 1 << 20, APART_BYTES = 9 * PAGE_BYTES + 1024, CHUNK_BYTES = 1 << 16 };
enum { WINDOW_PAGES = 512, SLEEP_MICROSECONDS = 50 };

/* Not a round distance apart: a byte and its copy would want the same place in caches and TLBs, QEMU's own included,
   and the figure would be that of an accident: here, a twentieth. */
static uint8_t buffers[2 * COPY_BYTES + APART_BYTES] __attribute__((aligned(64)));
static uint8_t *const source = buffers, *const copy = buffers + COPY_BYTES + APART_BYTES;

/* Counts are over warm-ups and samples together. */
static void evidence(const char *key, uint64_t value)
{
    say("evidence %s %s %u", under_way->name, key, value);
}

static void begin_tasks(void)
{
    for (int i = 1; i <= 2; i++) frame_clear((frame_t)tasks[i].page);
    entries = overflows = given_on_fault = 0;
}

/* Tasks in ring 3: the first gets a job, and perhaps a partner; the ticks are those that it counted itself. */
static uint64_t run_program(enum program program, uint64_t count, bool with_partner)
{
    for (int i = 1; i <= 1 + with_partner; i++) {
        struct job *job = &tasks[i].page->job;
        job->program = i == 1 ? program : PONG;
        job->operations = count;
        job->self = (uint64_t)i;
        job->partner = i == 1 ? 2 : 1;
        job->delay = hz / 1000000 * SLEEP_MICROSECONDS;
        task_begin(&tasks[i], NULL);
    }
    tasks_run();
    return tasks[1].page->job.elapsed;
}

/* syscall.getpid and ring.nop: OP_EXIT of each sample is an entry more, and the only one that is never completed. */
static uint64_t sample_nops(uint64_t count) { return run_program(NOPS, count, false); }

static const char *finish_nops(void)
{
    struct job *job = &tasks[1].page->job;
    evidence("completed", job->completed);
    evidence("overflows", overflows);
    evidence("wrong_cookies", job->wrong_cookies);
    return entries < job->completed ? "more completions than entries into the kernel" : NULL;
}

/* wake.refused, park.ready */
static uint64_t sample_refused(uint64_t count) { return run_program(REFUSED, count, false); }
static uint64_t sample_ready(uint64_t count) { return run_program(READY, count, false); }

static const char *finish_refused(void)
{
    evidence("refused", tasks[1].page->job.refused);
    evidence("wrong_cookies", tasks[1].page->job.wrong_cookies);
    return NULL;
}

static const char *finish_ready(void)
{
    evidence("passed", tasks[1].page->job.passed);
    evidence("wrong_cookies", tasks[1].page->job.wrong_cookies);
    return NULL;
}

/* ipc.futex_pingpong */
static uint64_t sample_round_trips(uint64_t count) { return run_program(PING, count, true); }

static const char *finish_round_trips(void)
{
    evidence("round_trips", tasks[1].page->job.round_trips);
    evidence("partner_served", tasks[2].page->job.served);
    uint64_t wrong = tasks[1].page->job.wrong_cookies + tasks[2].page->job.wrong_cookies;
    return wrong ? "a completion had a foreign cookie" : NULL;
}

/* timer.wake: each task's own reading of the clock says whether it was woken too early. */
static uint64_t sample_wakes(uint64_t count) { return run_program(SLEEPER, count, false); }

static const char *finish_wakes(void)
{
    evidence("wakes", tasks[1].page->job.wakes);
    evidence("woke_early", tasks[1].page->job.early);
    return NULL;
}

/* memory.mmap_fault */
static uint64_t sample_touches(uint64_t count) { return run_program(TOUCHER, count, false); }

static const char *finish_touches(void)
{
    struct job *job = &tasks[1].page->job;
    evidence("faults", given_on_fault);
    evidence("pages_verified", job->verified);
    evidence("dirty_pages", job->dirty);
    return given_on_fault < job->verified ? "memory was touched that nobody had given" : NULL;
}

/* task.switch: two tasks of the kernel; an operation is one switch, and each task counts its own turns. */
static uint64_t turns[2];

static void partner(void)
{
    for (;;) {
        turns[1]++;
        yield();
    }
}

static void begin_switches(void) { turns[0] = turns[1] = 0; }

static uint64_t sample_switches(uint64_t count)
{
    task_begin(&tasks[1], partner);
    uint64_t begin = ticks();
    for (uint64_t i = 0; i < count / 2; i++) {
        yield();
        turns[0]++;
    }
    uint64_t elapsed = ticks() - begin;
    tasks[1].state = FREE;
    return elapsed;
}

static const char *finish_switches(void)
{
    evidence("switches", turns[0] + turns[1]);
    return turns[0] == turns[1] ? NULL : "one of the two tasks had more turns than the other";
}

/* page.map_unmap: 512 pages in turn; after the sample each of them is touched, and all must be gone. */
static uint64_t mapped, gone, stray;

static void begin_maps(void)
{
    mapped = gone = stray = 0;
    for (uint32_t page = 0; page < WINDOW_PAGES; page++) stray += touch(window_address(page));
}

static inline __attribute__((always_inline)) uint64_t map_and_unmap(uint64_t count, bool flushed)
{
    uint64_t begin = ticks();
    for (uint64_t i = 0; i < count; i++) {
        frame_t frame = frame_take();
        volatile uint64_t *seen = (uint64_t *)frame;
        *seen = 0;
        *window_entry((uint32_t)i) = frame | PRESENT | WRITABLE;
        *(volatile uint64_t *)window_address((uint32_t)i) = i + 1;
        mapped += *seen == i + 1;
        *window_entry((uint32_t)i) = 0;
        if (flushed) flush(window_address((uint32_t)i));
        frame_give(frame);
    }
    uint64_t elapsed = ticks() - begin;
    for (uint64_t i = 0; i < count; i++) gone += !touch(window_address((uint32_t)i));
    return elapsed;
}

static uint64_t sample_maps(uint64_t count) { return map_and_unmap(count, true); }
uint64_t sample_maps_without_flush(uint64_t count) { return map_and_unmap(count, false); } /* see faults.c */

static const char *finish_maps(void)
{
    evidence("mapped", mapped);
    evidence("gone", gone);
    return stray ? "the window was not empty when it began" : NULL;
}

/* memory.memcpy: as the oracle knows it: byte i is 7 i + (i >> 8), and each copy has its own number at both ends. */
static uint64_t copies, copies_wrong;

static void fill(void)
{
    for (uint64_t i = 0; i < COPY_BYTES; i++) source[i] = (uint8_t)(i * 7 + (i >> 8));
}

static void begin_copies(void)
{
    copies = copies_wrong = 0;
    fill();
}

static void copy_once(void)
{
    void *from = source, *to = copy;
    uint64_t words = COPY_BYTES / 8;
    __asm__ volatile("rep movsq" : "+S"(from), "+D"(to), "+c"(words) : : "memory");
}

void (*copier)(void) = copy_once;

static uint64_t sample_copies(uint64_t count)
{
    volatile uint64_t *from = (uint64_t *)source, *to = (uint64_t *)copy, last = COPY_BYTES / 8 - 1;
    uint64_t begin = ticks();
    for (uint64_t i = 0; i < count; i++) {
        from[0] = from[last] = ++copies;
        copier();
        copies_wrong += to[0] != copies || to[last] != copies;
    }
    return ticks() - begin;
}

static uint64_t crc32(const uint8_t *data, uint64_t bytes)
{
    uint32_t table[256], crc = ~0u;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320 : 0);
    }
    while (bytes--) crc = crc >> 8 ^ table[(crc ^ *data++) & 0xff];
    return (uint32_t)~crc;
}

static const char *finish_copies(void)
{
    evidence("copies", copies - copies_wrong);
    evidence("size_bytes", COPY_BYTES);
    evidence("body_crc32", crc32(copy + 8, COPY_BYTES - 16));
    return NULL;
}

/* hash.chunk: SHA-256 of the first 64 KiB of the same pattern. Every digest must be the first, which the host knows. */
static uint8_t first[32];
static uint64_t alike;
void (*hasher)(const uint8_t *, uint64_t, uint8_t[32]) = sha256;

static bool equal(const uint8_t *left, const uint8_t *right, unsigned bytes)
{
    while (bytes && *left++ == *right++) bytes--;
    return !bytes;
}

static void begin_hashes(void)
{
    alike = 0;
    fill();
    hasher(source, CHUNK_BYTES, first);
}

static uint64_t sample_hashes(uint64_t count)
{
    uint8_t digest[32];
    uint64_t begin = ticks();
    for (uint64_t i = 0; i < count; i++) {
        hasher(source, CHUNK_BYTES, digest);
        alike += equal(digest, first, sizeof digest);
    }
    return ticks() - begin;
}

static const char *finish_hashes(void)
{
    static const uint8_t abc[] = { 0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea }; /* FIPS 180-4's own example */
    uint8_t digest[32];
    uint64_t words[4] = { 0 };
    for (int i = 0; i < 32; i++) words[i / 8] = words[i / 8] << 8 | first[i];
    say("evidence %s digest %x%x%x%x", under_way->name, words[0], words[1], words[2], words[3]);
    evidence("alike", alike);
    sha256((const uint8_t *)"abc", 3, digest);
    return equal(digest, abc, sizeof abc) ? NULL : "the digest of 'abc' is not what it should be";
}

struct benchmark benchmarks[] = {
    { "syscall.getpid", "ring entry (syscall from ring 3, one no-op taken from the ring, its completion read)",
      2000, begin_tasks, sample_nops, finish_nops },
    { "ring.nop", "ring entry (syscall from ring 3, one no-op taken from the ring, its completion read)",
      2000, begin_tasks, sample_nops, finish_nops },
    { "wake.refused", "ring entry (a task is to be woken that does not exist, which is refused)",
      2000, begin_tasks, sample_refused, finish_refused },
    { "park.ready", "ring entry (a task wakes itself, and parks, which does not wait)",
      2000, begin_tasks, sample_ready, finish_ready },
    { "ipc.futex_pingpong", "wake and park between two ring-3 tasks, each in its own address space, by ring entries",
      500, begin_tasks, sample_round_trips, finish_round_trips },
    { "timer.wake", "lateness of a timed wait of 50 us by a ring entry (PIT one-shot, hlt, back in ring 3)",
      10, begin_tasks, sample_wakes, finish_wakes },
    { "memory.mmap_fault", "first write to a page from ring 3 (fault, a cleared page is mapped), 1/256 of unmapping",
      REGION_PAGES, begin_tasks, sample_touches, finish_touches },
    { "memory.memcpy", "rep movsq in the kernel", 1, begin_copies, sample_copies, finish_copies },
    { "task.switch", "yield between two tasks of the kernel, address space unchanged",
      2000, begin_switches, sample_switches, finish_switches },
    { "page.map_unmap", "map a page, write through it, read it where it lies, unmap, invlpg",
      WINDOW_PAGES, begin_maps, sample_maps, finish_maps },
    { "hash.chunk", "SHA-256 of 64 KiB in plain C", 1, begin_hashes, sample_hashes, finish_hashes },
};
const unsigned benchmark_count = sizeof benchmarks / sizeof benchmarks[0];
