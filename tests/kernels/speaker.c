/* A kernel that says what a test wants: one good benchmark, and a fault where its command line asks for one.
 *
 *   do=PLACE:WHAT    what it does there, see `at`; places are first, start, middle, late and end
 *   bp.token=        is repeated, as the protocol wants it; bp.run= is not looked at: it has one benchmark
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

static const char *line; /* the command line */

static void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static void outw(u16 port, u16 value) { __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port)); }
static u8 inb(u16 port) {
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static u64 ticks(void) {
    u64 value;
    __asm__ volatile("rdtsc" : "=A"(value));
    return value;
}
static void stop(void) {
    for (;;) __asm__ volatile("hlt");
}

static void put(char letter) {
    while (!(inb(0x3fd) & 0x20)) {}
    outb(0x3f8, (u8)letter);
}
static void say(const char *text) {
    while (*text) put(*text++);
}
static void say_number(u32 value) {
    char digits[12];
    int many = 0;
    do digits[many++] = (char)('0' + value % 10);
    while (value /= 10);
    while (many) put(digits[--many]);
}

static int starts(const char *text, const char *word) {
    while (*word)
        if (*text++ != *word++) return 0;
    return 1;
}
/* What stands behind `key` on the command line; NULL if it is not there. */
static const char *after(const char *key) {
    for (const char *at = line; at && *at; at++)
        if ((at == line || at[-1] == ' ') && starts(at, key)) {
            while (*key) at++, key++;
            return at;
        }
    return 0;
}
static void say_token(void) {
    const char *token = after("bp.token=");
    if (!token) return;
    say(" token=");
    while (*token && *token != ' ') put(*token++);
}

/* The sum of the bytes of the file `opt/test` that the machine has, 0 if it has none. */
static u32 sum_of_file(void) {
    outw(0x510, 0x19);
    u32 many = 0, size = 0, key = 0, sum = 0;
    for (int i = 0; i < 4; i++) many = many << 8 | inb(0x511);
    while (many-- && !key) {
        char name[57];
        u32 found = 0, select = 0;
        for (int i = 0; i < 4; i++) found = found << 8 | inb(0x511);
        for (int i = 0; i < 2; i++) select = select << 8 | inb(0x511);
        for (int i = 0; i < 58; i++) {
            char letter = (char)inb(0x511);
            if (i >= 2) name[i - 2] = letter;
        }
        if (starts(name, "opt/test")) key = select, size = found;
    }
    if (key) outw(0x510, (u16)key);
    while (key && size--) sum = sum * 31 + inb(0x511);
    return sum;
}

static void triple_fault(void) {
    static const struct { u16 limit; u32 base; } __attribute__((packed)) none = { 0, 0 };
    __asm__ volatile("lidt %0; int3" : : "m"(none));
}
static void power_off(void) { outw(0x604, 0x2000); }

/* Does here what the command line asks for at this place. */
static void at(const char *place) {
    const char *wanted = after("do=");
    if (!wanted || !starts(wanted, place)) return;
    while (*place) wanted++, place++; /* it is `place:what` */
    if (*wanted++ != ':') return;
    if (starts(wanted, "silent")) stop();
    /* an emulator ends some time later, and until then the processor goes on */
    if (starts(wanted, "off")) power_off(), stop();
    if (starts(wanted, "reset")) triple_fault(), stop();
    if (starts(wanted, "signal")) outb(0x505, 1), stop(); /* a panic without a word, by the pvpanic device */
    if (starts(wanted, "exit")) outb(0xf4, 7), stop();
    if (starts(wanted, "panic")) say("Kernel panic - not syncing: planted\n"), stop();
    if (starts(wanted, "warn")) say("[    0.100000] WARNING: CPU: 0 PID: 1 at planted.c:1\n");
    if (starts(wanted, "flood")) for (;;) say("and so on, and so on, and so on, and so on, and so on, and so on\n");
}

void kernel_main(u32 magic, u32 information) {
    line = *(const char **)(information + (magic == 0x2BADB002 ? 16 : 24));
    at("first");
    say("speaker: here\n");
    at("start");
    say("@bp begin 1 benchmarks=1");
    say_token();
    say(after("build=") ? " system=speaker build=debug" : " system=speaker");
    say(" hz=1000000000\n@bp bench syscall.getpid unit=ticks clock=tsc : nothing\n@bp start syscall.getpid\n");
    u64 before = ticks();
    for (int i = 0; i < 1000; i++) __asm__ volatile("nop");
    u32 elapsed = (u32)(ticks() - before);
    say("@bp sample syscall.getpid 1000 ");
    say_number(elapsed);
    say("\n@bp evidence syscall.getpid completed 1000\n@bp evidence syscall.getpid overflows 0\n");
    say("@bp evidence syscall.getpid wrong_cookies 0\n@bp evidence syscall.getpid sum ");
    say_number(sum_of_file());
    at("middle");
    say("\n@bp done syscall.getpid samples=1 operations=1000 elapsed=");
    say_number(elapsed);
    at("late");
    say("\n@bp end benchmarks=1 done=1 failed=0 unsupported=0 lines=10");
    say_token();
    say(" hz=1000000000\n");
    at("end");
    outb(0xf4, 16); /* status 33 */
    stop();
}
