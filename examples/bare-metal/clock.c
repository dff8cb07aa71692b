/* The clock is the processor's time-stamp counter. How fast it ticks is measured once, against the PIT, whose rate is
   the same in every PC. The PIT is the alarm clock, too. */
#include "kernel.h"

#define PIT_HZ 1193182ull
#define PIT_PERIOD 65536u
#define CALIBRATION_PIT_TICKS 26250u /* 22 ms; less than a period of the PIT */

enum { CHANNEL_0 = 0x40, COMMAND = 0x43, ONE_SHOT = 0x30, RATE = 0x34, LATCH = 0x00 };

uint64_t hz;
static volatile bool rang;

struct moment {
    uint64_t ticks;
    uint32_t pit; /* counts down */
};

static uint32_t pit_read(void)
{
    out8(COMMAND, LATCH);
    uint32_t low = in8(CHANNEL_0);
    return low | (uint32_t)in8(CHANNEL_0) << 8;
}

/* Both clocks at one moment: the reading whose two sides were closest together, in case we are held up in between. */
static struct moment both_clocks(void)
{
    struct moment best = { 0, 0 };
    uint64_t shortest = UINT64_MAX;
    for (int i = 0; i < 8; i++) {
        uint64_t before = ticks();
        uint32_t pit = pit_read();
        uint64_t after = ticks();
        if (after - before < shortest) shortest = after - before, best = (struct moment){ before + shortest / 2, pit };
    }
    return best;
}

static uint64_t calibrate_once(void)
{
    struct moment begin = both_clocks(), end;
    do end = both_clocks(); while ((begin.pit - end.pit) % PIT_PERIOD < CALIBRATION_PIT_TICKS);
    return (end.ticks - begin.ticks) * PIT_HZ / ((begin.pit - end.pit) % PIT_PERIOD);
}

/* Twice, and the two must agree: where the machine stood still for a moment, once more. */
void clock_calibrate(void)
{
    out8(COMMAND, RATE);
    out8(CHANNEL_0, 0);
    out8(CHANNEL_0, 0);
    uint64_t previous = calibrate_once();
    for (int tries = 0; tries < 20; tries++, previous = hz) {
        hz = calibrate_once();
        uint64_t difference = hz > previous ? hz - previous : previous - hz;
        if (hz && difference < hz / 1000) return;
    }
    panic("two measurements of the clock's rate never agreed: %u and %u ticks a second", previous, hz);
}

void clock_alarm(uint64_t ticks_ahead)
{
    uint64_t count = ticks_ahead * PIT_HZ / hz + 1; /* rounded up: late is honest, early is wrong */
    if (count >= PIT_PERIOD) count = PIT_PERIOD - 1;
    rang = false;
    out8(COMMAND, ONE_SHOT);
    out8(CHANNEL_0, (uint8_t)count);
    out8(CHANNEL_0, (uint8_t)(count >> 8));
}

/* `sti` lets nothing in before the `hlt` behind it, so an alarm that rings in between is not slept through. An
   interrupt is no proof that it is time: the clock is asked. */
void clock_wait(uint64_t deadline)
{
    for (uint64_t now; (now = ticks()) < deadline;) {
        clock_alarm(deadline - now);
        while (!rang) __asm__ volatile("sti; hlt; cli" : : : "memory");
    }
}

void alarm_rang(void)
{
    rang = true;
}
