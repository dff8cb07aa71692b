/* What a reader has to know of this kernel before any of its figures: protection that is off, checks that are on. */
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define VULNERABILITIES "/sys/devices/system/cpu/vulnerabilities"

struct text { char words[512]; };

static void add(struct text *to, const char *word)
{
    size_t used = strlen(to->words);
    snprintf(to->words + used, sizeof to->words - used, "%s%s", used ? ", " : "", word);
    for (char *c = to->words + used; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ') *c = '?';
}

/* By the name of what is open, in the order of the names. */
static void vulnerable(struct text *found)
{
    struct dirent **names;
    int count = scandir(VULNERABILITIES, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[320], begin[10];
        snprintf(path, sizeof path, VULNERABILITIES "/%.200s", names[i]->d_name);
        int fd = names[i]->d_name[0] == '.' ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, begin, sizeof begin) == sizeof begin && !memcmp(begin, "Vulnerable", sizeof begin)) add(found, names[i]->d_name);
        if (fd >= 0) close(fd);
        free(names[i]);
    }
    if (count >= 0) free(names);
}

/* Words of the kernel's command line that begin like one of these. */
static void asked_for(struct text *found, const char *const *beginnings)
{
    static char line[4096];
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
    if (fd >= 0) close(fd);
    line[size > 0 ? size : 0] = 0;
    for (char *rest = line, *word; (word = strsep(&rest, " \n"));)
        for (const char *const *each = beginnings; *each; each++)
            if (!strncmp(word, *each, strlen(*each))) add(found, word);
}

/* What the kernel printed when it began, as far as it still has it. */
static int logged(const char *words)
{
    static char record[8192];
    int found = 0, fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    for (ssize_t n; fd >= 0 && !found && (n = read(fd, record, sizeof record - 1)) > 0;) record[n] = 0, found = strstr(record, words) != NULL;
    if (fd >= 0) close(fd);
    return found;
}

void say_labels(void)
{
    static const char *const off[] = { "mitigations=off", "nopti", "nospectre_v1", "nospectre_v2", "mds=off", NULL };
    static const char *const checks[] = { "slub_debug", "slab_debug", "debug_pagealloc=on", "page_poison=1", "kmemleak=on", NULL };
    struct text open_doors = { "" }, words = { "" }, debug = { "" };
    struct utsname u;
    asked_for(&words, off);
    vulnerable(&open_doors);
    asked_for(&debug, checks);
    if (access("/proc/lockdep_stats", R_OK) == 0) add(&debug, "lockdep");
    if (logged("KernelAddressSanitizer initialized")) add(&debug, "KASAN");
    if (uname(&u) == 0 && strstr(u.release, "debug")) add(&debug, u.release);
    const char *said = *words.words ? words.words : "not mitigated";
    if (*open_doors.words) printf(",\"mitigations_label\":\"%s (vulnerable: %s)\"", said, open_doors.words);
    else if (*words.words) printf(",\"mitigations_label\":\"%s\"", said);
    if (*debug.words) printf(",\"debug_label\":\"debug kernel: %s\"", debug.words);
}
