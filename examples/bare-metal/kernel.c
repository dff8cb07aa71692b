/* The order of things: console, tables, tasks, clock; then what the command line asks for, said in the protocol. */
#include "kernel.h"

enum { SUCCESS = 16, WARMUPS = 5, SAMPLES = 20, MOST_SAMPLES = 10000, START_INFO_MAGIC = 0x336ec578 };

extern uint64_t boot_ticks;
char token[WORD];
const struct benchmark *under_way;
static char wanted[WORD], samples_wanted[WORD], fault[WORD];
static uint64_t listed, done, failed, refused;

static const struct {
    const char *prefix, *reason;
} absent[] = {
    { "syscall.stat", "there is no file system" },
    { "syscall.open_close", "there is no file system" },
    { "process.", "there are no programs to start" },
    { "scaling.", "it runs on one processor" },
    { "", "this kernel has nothing like it" },
};

/* What follows the prefix; NULL where the text does not begin with it. */
static const char *after(const char *text, const char *prefix)
{
    while (*prefix && *text == *prefix) text++, prefix++;
    return *prefix ? NULL : text;
}

bool same(const char *left, const char *right)
{
    const char *rest = after(left, right);
    return rest && !*rest;
}

/* The value of a word `key=value` of the command line; `value` stays empty where there is none. */
static void option(const char *line, const char *key, char value[WORD])
{
    for (const char *word = line; *word; word++) {
        const char *found = word == line || word[-1] == ' ' ? after(word, key) : NULL;
        if (!found) continue;
        for (unsigned i = 0; i + 1 < WORD && *found && *found != ' '; i++) value[i] = *found++;
        return;
    }
}

static void read_command_line(const struct start_info *info)
{
    if (info->magic != START_INFO_MAGIC) panic("expected PVH's start information, found %x", (uint64_t)info->magic);
    const char *line = info->command_line ? (const char *)info->command_line : "";
    option(line, "bp.run=", wanted);
    option(line, "bp.token=", token);
    option(line, "bp.samples=", samples_wanted);
    option(line, "bp.fault=", fault);
}

static uint64_t sample_count(void)
{
    uint64_t count = 0;
    for (const char *digit = samples_wanted; *digit; digit++) {
        if (*digit < '0' || *digit > '9' || count > MOST_SAMPLES) panic("bp.samples=%s is no number", samples_wanted);
        count = count * 10 + (uint64_t)(*digit - '0');
    }
    return count && count <= MOST_SAMPLES ? count : SAMPLES;
}

static bool is_wanted(const struct benchmark *benchmark)
{
    return !*wanted || same(benchmark->name, wanted);
}

static void say_begin(void)
{
    for (unsigned i = 0; i < benchmark_count; i++) listed += is_wanted(&benchmarks[i]);
    say("begin 1 benchmarks=%u%s%s system=bare-metal-1 build=no-mitigations hz=%u at=%u",
        listed, *token ? " token=" : "", token, hz, ticks());
    for (struct benchmark *each = benchmarks; each < benchmarks + benchmark_count; each++)
        if (is_wanted(each)) say("bench %s unit=ticks clock=tsc : %s", each->name, each->mechanism);
    if (*wanted && listed) return;
    unsigned i = 0;
    while (!after(wanted, absent[i].prefix)) i++;
    say("unsupported %s %s", *wanted ? wanted : "*", absent[i].reason);
    refused++;
}

static uint64_t sample_once(const struct benchmark *each, const char *line)
{
    uint64_t elapsed = each->sample(each->operations);
    say(line, each->name, each->operations, elapsed);
    return elapsed;
}

static void measure(const struct benchmark *each, uint64_t samples)
{
    uint64_t sum = 0;
    under_way = each;
    say("start %s", each->name);
    each->prepare();
    for (unsigned i = 0; i < WARMUPS; i++) sample_once(each, "warmup %s %u %u");
    for (uint64_t i = 0; i < samples; i++) sum += sample_once(each, "sample %s %u %u");
    const char *wrong = each->finish();
    if (wrong) {
        failed++;
        say("failed %s %s", each->name, wrong);
    } else {
        done++;
        say("done %s samples=%u operations=%u elapsed=%u", each->name, samples, samples * each->operations, sum);
    }
}

void say_end(void)
{
    say("end benchmarks=%u done=%u failed=%u unsupported=%u lines=%u%s%s hz=%u at=%u",
        listed, done, failed, refused, lines_said + 1, *token ? " token=" : "", token, hz, ticks());
}

void leave_well(void)
{
    leave(SUCCESS);
}

void (*trailer)(void) = say_end, (*farewell)(void) = leave_well;

void kernel_main(const struct start_info *info)
{
    console_open();
    pages_open();
    cpu_open();
    tasks_open();
    read_command_line(info);
    clock_calibrate();
    if (*fault) plant(fault);
    write("bare-metal: %u us since the first instruction\n", (ticks() - boot_ticks) / (hz / 1000000));
    say_begin();
    for (unsigned i = 0; i < benchmark_count; i++)
        if (is_wanted(&benchmarks[i])) measure(&benchmarks[i], sample_count());
    trailer();
    farewell();
}
