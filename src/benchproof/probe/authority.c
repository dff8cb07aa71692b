/* What the work may do: taken before anything else happens, and reported as it really was. A benchmark has the
   capabilities that it declares and no way to gain one; new namespaces and a seccomp filter where it asks for them. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif

enum { CAPABILITY_LIMIT = 64, CANNOT_EXECUTE = 127 };

static const struct { const char *name; int flag; } NAMESPACES[] = {
    { "mnt", CLONE_NEWNS }, { "net", CLONE_NEWNET }, { "ipc", CLONE_NEWIPC },   { "uts", CLONE_NEWUTS },
    { "user", CLONE_NEWUSER }, { "pid", CLONE_NEWPID }, { "cgroup", CLONE_NEWCGROUP }, { "time", CLONE_NEWTIME },
};
enum { NAMESPACE_COUNT = sizeof NAMESPACES / sizeof *NAMESPACES };

/* How it was before anything was taken away. */
static struct { uint64_t namespaces[NAMESPACE_COUNT], capabilities; } begun;

struct capabilities { uint64_t effective, permitted, inheritable; };

static struct capabilities capabilities_now(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct has[2] = { { ~0u, ~0u, ~0u }, { ~0u, ~0u, ~0u } }; /* a kernel that does not say */
    syscall(SYS_capget, &header, has);
    return (struct capabilities){
        (uint64_t)has[1].effective << 32 | has[0].effective,
        (uint64_t)has[1].permitted << 32 | has[0].permitted,
        (uint64_t)has[1].inheritable << 32 | has[0].inheritable,
    };
}

uint64_t capabilities_held(void) { return capabilities_now().permitted; }

/* The number of a namespace, as its link says it; 0: this kernel does not say. */
static uint64_t namespace_number(int which)
{
    char path[64], text[64] = "";
    const int late = NAMESPACES[which].flag == CLONE_NEWPID || NAMESPACES[which].flag == CLONE_NEWTIME;
    snprintf(path, sizeof path, "/proc/self/ns/%s%s", NAMESPACES[which].name, late ? "_for_children" : "");
    ssize_t size = readlink(path, text, sizeof text - 1);
    char *number = size > 0 ? strchr(text, '[') : NULL;
    return number ? strtoull(number + 1, NULL, 10) : 0;
}

/* ---- the filter: a list of what is refused, with EPERM, whoever asks ---- */

#if defined(__x86_64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv)
#define OWN_ARCHITECTURE AUDIT_ARCH_RISCV64
#endif

static const int REFUSED[] = {
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
    SYS_kexec_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_keyctl, SYS_add_key, SYS_request_key,
    SYS_perf_event_open, SYS_setns, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl, SYS_syslog,
    SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_sethostname, SYS_setdomainname,
    SYS_open_by_handle_at,
#ifdef SYS_bpf
    SYS_bpf,
#endif
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
#ifdef SYS_userfaultfd
    SYS_userfaultfd,
#endif
#ifdef SYS_io_uring_setup
    SYS_io_uring_setup, /* what a ring does passes no filter */
#endif
#ifdef SYS_open_tree
    SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick,
#endif
#ifdef SYS_mount_setattr
    SYS_mount_setattr,
#endif
#ifdef SYS_pidfd_getfd
    SYS_pidfd_getfd,
#endif
#if defined(__x86_64__)
    SYS_iopl, SYS_ioperm, SYS_modify_ldt,
#endif
};
enum { REFUSED_COUNT = sizeof REFUSED / sizeof *REFUSED };

#define NEW_NAMESPACES                                                                                                 \
    (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWCGROUP)
#define WORD_OF_ARGUMENT(n) (offsetof(struct seccomp_data, args[n])) /* its lower half: all of these are little endian */
#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define IF(test, value, then, otherwise) BPF_JUMP(BPF_JMP | (test) | BPF_K, (uint32_t)(value), (then), (otherwise))
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, (what))
#define REFUSE(number) ANSWER(SECCOMP_RET_ERRNO | (number))
#define ALLOW ANSWER(SECCOMP_RET_ALLOW)

/* Raw and packet sockets, new namespaces by unshare and clone. The flags of clone3 lie in memory, where no filter can
   see them: a C library that is told ENOSYS takes clone. */
static int install_filter(void)
{
#ifdef OWN_ARCHITECTURE
    struct sock_filter code[2 * REFUSED_COUNT + 32];
    unsigned short length = 0;
    const struct sock_filter head[] = {
        LOAD(offsetof(struct seccomp_data, arch)),
        IF(BPF_JEQ, OWN_ARCHITECTURE, 1, 0), REFUSE(EPERM),
        LOAD(offsetof(struct seccomp_data, nr)),
#if defined(__x86_64__)
        IF(BPF_JGE, 0x40000000, 0, 1), REFUSE(EPERM), /* the numbers of x32 are others */
#endif
    };
    const struct sock_filter tail[] = {
        IF(BPF_JEQ, SYS_clone3, 0, 1), REFUSE(ENOSYS),
        IF(BPF_JEQ, SYS_unshare, 1, 0), IF(BPF_JEQ, SYS_clone, 0, 4),
        LOAD(WORD_OF_ARGUMENT(0)), IF(BPF_JSET, NEW_NAMESPACES, 0, 1), REFUSE(EPERM), ALLOW,
        IF(BPF_JEQ, SYS_socket, 1, 0), ALLOW,
        LOAD(WORD_OF_ARGUMENT(0)), IF(BPF_JEQ, AF_PACKET, 0, 1), REFUSE(EPERM),
        IF(BPF_JEQ, AF_INET, 2, 0), IF(BPF_JEQ, AF_INET6, 1, 0), ALLOW,
        LOAD(WORD_OF_ARGUMENT(1)), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf), IF(BPF_JEQ, SOCK_RAW, 0, 1), REFUSE(EPERM), ALLOW,
    };
    memcpy(code, head, sizeof head), length += sizeof head / sizeof *head;
    for (int i = 0; i < REFUSED_COUNT; i++) {
        code[length++] = (struct sock_filter)IF(BPF_JEQ, REFUSED[i], 0, 1);
        code[length++] = (struct sock_filter)REFUSE(EPERM);
    }
    memcpy(code + length, tail, sizeof tail), length += sizeof tail / sizeof *tail;
    struct sock_fprog program = { .len = length, .filter = code };
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
#else
    errno = ENOSYS;
    return -1;
#endif
}

/* ---- taking it ---- */

static void enter_namespaces(int flags)
{
    if (unshare(flags)) unsupported("new namespaces");
    if ((flags & CLONE_NEWNS) && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) unsupported("a private mount namespace");
}

static void keep_capabilities(uint64_t kept)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = {
        { .effective = (uint32_t)kept, .permitted = (uint32_t)kept },
        { .effective = (uint32_t)(kept >> 32), .permitted = (uint32_t)(kept >> 32) },
    };
    for (int each = 0; each < CAPABILITY_LIMIT; each++)
        if (!(kept >> each & 1) && prctl(PR_CAPBSET_READ, each, 0, 0, 0) == 1) prctl(PR_CAPBSET_DROP, each, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    syscall(SYS_capset, &header, data);
}

void take_authority(const struct authority *declared)
{
    begun.capabilities = capabilities_held();
    for (int i = 0; i < NAMESPACE_COUNT; i++) begun.namespaces[i] = namespace_number(i);
    if (declared->capabilities & ~begun.capabilities) {
        errno = EPERM;
        unsupported("the capabilities that it needs");
    }
    if (declared->namespaces) enter_namespaces(declared->namespaces);
    if (PLANTED == WIDE_AUTHORITY) return;
    keep_capabilities(declared->capabilities);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (declared->confined && install_filter()) unsupported("a seccomp filter");
}

/* ---- telling what it was ---- */

static void sets_of_capabilities(void)
{
    struct capabilities now = capabilities_now();
    uint64_t bounding = 0, ambient = 0;
    for (int each = 0; each < CAPABILITY_LIMIT; each++) {
        bounding |= (uint64_t)(prctl(PR_CAPBSET_READ, each, 0, 0, 0) == 1) << each;
        ambient |= (uint64_t)(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, each, 0, 0) == 1) << each;
    }
    const struct { const char *name; uint64_t set; } sets[] = {
        { "authority.capabilities", now.effective | now.permitted }, { "authority.inheritable", now.inheritable },
        { "authority.bounding", bounding }, { "authority.ambient", ambient },
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        char text[32];
        snprintf(text, sizeof text, "%016" PRIx64, sets[i].set);
        evidence_text(sets[i].name, text);
    }
    evidence_text("authority.bounding_droppable", begun.capabilities >> CAP_SETPCAP & 1 ? "yes" : "no");
}

static void new_namespaces(void)
{
    char text[128] = "";
    int known = 0;
    for (int i = 0; i < NAMESPACE_COUNT; i++) {
        uint64_t now = namespace_number(i);
        known |= now != 0;
        if (now == begun.namespaces[i]) continue;
        if (*text) strcat(text, ",");
        strcat(text, NAMESPACES[i].name);
    }
    evidence_text("authority.new_namespaces", *text ? text : known ? "none" : "unknown");
}

/* Network interfaces that are up, but for the loopback: with none of them nobody is reached. */
static void interfaces(void)
{
    char line[512];
    uint64_t count = 0;
    FILE *file = fopen("/proc/self/net/dev", "r");
    int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (!file) { evidence_text("authority.interfaces", "unknown"); return; }
    while (fgets(line, sizeof line, file)) {
        struct ifreq request = { 0 };
        char *colon = strchr(line, ':'), *name = line + strspn(line, " ");
        if (!colon) continue; /* the two lines at the top */
        *colon = 0;
        snprintf(request.ifr_name, sizeof request.ifr_name, "%.15s", name);
        int told = probe >= 0 && ioctl(probe, SIOCGIFFLAGS, &request) == 0;
        count += told ? (request.ifr_flags & IFF_UP) && !(request.ifr_flags & IFF_LOOPBACK) : strcmp(name, "lo") != 0;
    }
    fclose(file);
    if (probe >= 0) close(probe);
    evidence("authority.interfaces", count);
}

void report_authority(void)
{
    char filters[32];
    int mode = prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
    first_line_with("/proc/self/status", "Seccomp_filters", filters, sizeof filters);
    sets_of_capabilities();
    evidence("authority.no_new_privileges", (uint64_t)prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    evidence_text("authority.seccomp", mode == 0 ? "none" : mode == SECCOMP_MODE_FILTER ? "filter" : "unknown");
    evidence_text("authority.seccomp_filters", *filters ? filters : "unknown");
    new_namespaces();
    interfaces();
    evidence("authority.uid", (uint64_t)getuid());
}

/* ---- asking for it ---- */

static int flag_of(const char *name, size_t size)
{
    for (int i = 0; i < NAMESPACE_COUNT; i++)
        if (strlen(NAMESPACES[i].name) == size && !strncmp(NAMESPACES[i].name, name, size)) return NAMESPACES[i].flag;
    return 0;
}

/* 1: it was one of ours; 0: it was not; -1: its value makes no sense. */
int authority_option(struct authority *declared, const char *option, const char *value)
{
    char *end = NULL;
    if (strcmp(option, "--capabilities") && strcmp(option, "--seccomp") && strcmp(option, "--namespaces")) return 0;
    if (!value) return -1;
    if (!strcmp(option, "--seccomp")) {
        declared->confined = !strcmp(value, "confined");
        return declared->confined ? 1 : -1;
    }
    if (!strcmp(option, "--capabilities")) {
        declared->capabilities = strtoull(value, &end, 16);
        return *value && !*end ? 1 : -1;
    }
    for (const char *name = value; *name; name += strcspn(name, ","), name += *name == ',') {
        int flag = flag_of(name, strcspn(name, ","));
        if (!flag) return -1;
        declared->namespaces |= flag;
    }
    return 1;
}

/* Run ARGV with less than it would have, and leave its capabilities to itself: what a target gives to every command. */
int confine(char **argv)
{
    struct authority wanted = { 0 };
    for (; argv[0] && argv[1] && strcmp(argv[0], "--"); argv += 2)
        if (authority_option(&wanted, argv[0], argv[1]) <= 0) { errno = EINVAL; die(argv[0]); }
    if (!argv[0] || strcmp(argv[0], "--") || !argv[1]) { errno = EINVAL; die("confine"); }
    if (wanted.namespaces && unshare(wanted.namespaces)) die("cannot make a new namespace");
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (PLANTED != WIDE_AUTHORITY && wanted.confined && install_filter()) die("cannot install a seccomp filter");
    execvp(argv[1], argv + 1);
    fprintf(stderr, "probe: cannot execute '%s': %s\n", argv[1], strerror(errno));
    return CANNOT_EXECUTE;
}
