/* Faults, planted by `bp.fault=NAME` so that it can be shown that each is noticed. A kernel that is measured by itself
   needs nothing of this; and nothing of it lies in a timed path, but that tables point elsewhere. */
#include "kernel.h"

static uint64_t turn;

static void sha256_wrong(const uint8_t *data, uint64_t bytes, uint8_t digest[32])
{
    sha256(data, bytes, digest);
    digest[7] ^= 4;
}

/* Every thousandth no-op: nothing is posted; or something that nobody asked for; or more than there is room for. */
static int64_t nop_lost(uint64_t unused)
{
    (void)unused;
    return ++turn % 1000 ? 0 : NOT_COMPLETE;
}

static int64_t nop_foreign(uint64_t unused)
{
    (void)unused;
    if (++turn % 1000 == 0) complete(&current->page->ring, 7, 0);
    return 0;
}

static int64_t nop_flood(uint64_t unused)
{
    (void)unused;
    if (++turn % 1000) return 0;
    for (unsigned i = 0; i < RING_ENTRIES; i++) complete(&current->page->ring, 7, 0);
    return 0;
}

static int64_t sleep_too_short(uint64_t deadline)
{
    if (++turn % 2) clock_wait(deadline);
    return 0;
}

static int64_t nothing(uint64_t unused) { (void)unused; return 0; }
static void copy_nothing(void) {}
static void clear_nothing(frame_t frame) { (void)frame; }

static uint64_t sample_idle(uint64_t count)
{
    uint64_t begin = ticks();
    while (ticks() - begin < count) {}
    return ticks() - begin;
}

static uint64_t sample_stopped(uint64_t count) { (void)count; return 0; }
static uint64_t sample_panic(uint64_t count) { panic("planted after %u operations", count); }

static uint64_t sample_triple_fault(uint64_t count)
{
    struct __attribute__((packed)) { uint16_t limit; uint64_t address; } none = { 0, 0 };
    __asm__ volatile("lidt %0; ud2" : : "m"(none));
    return count;
}

_Noreturn static uint64_t sample_endless(uint64_t count)
{
    for (;;) write("still here, %u operations to go\n", count);
}

static void sleep_for_ever(void)
{
    for (;;) __asm__ volatile("cli; hlt");
}

static uint64_t sample_silent(uint64_t count) { sleep_for_ever(); return count; }
static void crash(void) { *(volatile uint64_t *)0x7000000000 = 1; }
static void leave_badly(void) { leave(3); }

static void sample_all(uint64_t (*sample)(uint64_t))
{
    for (unsigned i = 0; i < benchmark_count; i++) benchmarks[i].sample = sample;
}

static void sample_one(const char *name, uint64_t (*sample)(uint64_t))
{
    for (unsigned i = 0; i < benchmark_count; i++)
        if (same(benchmarks[i].name, name)) benchmarks[i].sample = sample;
}

void plant(const char *name)
{
    if (same(name, "digest")) hasher = sha256_wrong;
    else if (same(name, "lost-completion")) operations[OP_NOP] = nop_lost;
    else if (same(name, "foreign-completion")) operations[OP_NOP] = nop_foreign;
    else if (same(name, "overflow")) operations[OP_NOP] = nop_flood;
    else if (same(name, "early-wake")) operations[OP_SLEEP] = sleep_too_short;
    else if (same(name, "lost-wake")) operations[OP_WAKE] = nothing;
    else if (same(name, "no-park")) operations[OP_PARK] = nothing;
    else if (same(name, "dirty-pages")) clear_page = clear_nothing;
    else if (same(name, "kept-pages")) operations[OP_UNMAP] = nothing;
    else if (same(name, "still-mapped")) sample_one("page.map_unmap", sample_maps_without_flush);
    else if (same(name, "no-copy")) copier = copy_nothing;
    else if (same(name, "no-work")) sample_all(sample_idle);
    else if (same(name, "stopped-clock")) sample_all(sample_stopped);
    else if (same(name, "wrong-hz")) hz /= 1000;
    else if (same(name, "panic")) sample_all(sample_panic);
    else if (same(name, "triple-fault")) sample_all(sample_triple_fault);
    else if (same(name, "endless")) sample_all(sample_endless);
    else if (same(name, "silent")) sample_all(sample_silent);
    else if (same(name, "mute")) sleep_for_ever();
    else if (same(name, "damaged-line")) next_sample = CUT;
    else if (same(name, "lost-line")) next_sample = LOST;
    else if (same(name, "other-token")) token[0] = token[0] == 'f' ? '0' : 'f';
    else if (same(name, "no-trailer")) trailer = leave_well;
    else if (same(name, "crash-after-end")) farewell = crash;
    else if (same(name, "hang-after-end")) farewell = sleep_for_ever;
    else if (same(name, "exit-status")) farewell = leave_badly;
    else panic("bp.fault=%s: there is no such fault", name);
}
