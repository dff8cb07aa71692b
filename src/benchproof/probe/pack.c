/* `probe pack DIR` and `probe unpack DIR`: a folder as one stream, for a host that shares no folder with this system.

   An entry is a line `KIND MODE SIZE NAME_SIZE` and then name and content: F a plain file, L a symbolic link (its target),
   D a name that is removed, E the end with the number of entries. No link is followed, on the way or at the end.

   `probe entries DIR PATH`: what one folder below it holds, whatever else there is. The same lines without contents; there
   the kinds are F, L, S a folder, O anything else. Exit status 66: there is no such folder, or a link on the way. */
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_NAME = 4096, MOST_CONTENT = 16 << 20, DEEPEST = 64 };
#define IN_FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static size_t entries;
static char name[MOST_NAME + 1];

static void entry(char kind, mode_t mode, const char *content, size_t size)
{
    size_t name_size = strlen(name);
    printf("%c %o %zu %zu\n", kind, (unsigned)(mode & 0777), size, name_size);
    fwrite(name, 1, name_size, stdout);
    fwrite(content, 1, size, stdout);
    if (ferror(stdout)) die("write");
    entries++;
}

static void pack_file(int folder, const char *file)
{
    struct stat found;
    int fd = openat(folder, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return; /* it went meanwhile */
    if (fd < 0 || fstat(fd, &found)) die(name);
    char *content = malloc(MOST_CONTENT);
    size_t size = 0;
    if (!content) die("malloc");
    for (ssize_t n; (n = read(fd, content + size, MOST_CONTENT - size)); size += (size_t)n)
        if (n < 0) die(name);
    if (size == MOST_CONTENT) errno = EFBIG, die(name);
    if (S_ISREG(found.st_mode)) entry('F', found.st_mode, content, size);
    free(content);
    close(fd);
}

static void pack_folder(int folder, size_t used, int depth)
{
    DIR *listing = fdopendir(folder);
    if (!listing || depth > DEEPEST) die("folder");
    for (struct dirent *each; (each = readdir(listing));) {
        struct stat found;
        char target[MOST_NAME];
        if (!strcmp(each->d_name, ".") || !strcmp(each->d_name, "..")) continue;
        int n = snprintf(name + used, sizeof name - used, "%s%s", used ? "/" : "", each->d_name);
        if (n < 0 || (size_t)n >= sizeof name - used) errno = ENAMETOOLONG, die("path");
        if (fstatat(folder, each->d_name, &found, AT_SYMLINK_NOFOLLOW)) continue;
        if (S_ISDIR(found.st_mode)) {
            int deeper = openat(folder, each->d_name, IN_FOLDER);
            if (deeper >= 0) pack_folder(deeper, used + (size_t)n, depth + 1);
        } else if (S_ISLNK(found.st_mode)) {
            ssize_t size = readlinkat(folder, each->d_name, target, sizeof target);
            if (size >= 0) entry('L', 0777, target, (size_t)size);
        } else if (S_ISREG(found.st_mode)) pack_file(folder, each->d_name);
        name[used] = 0;
    }
    closedir(listing);
}

int pack(const char *path)
{
    int folder = open(path, IN_FOLDER);
    if (folder < 0) die(path);
    pack_folder(folder, 0, 0);
    printf("E 0 %zu 0\n", entries);
    return fflush(stdout) ? 70 : 0;
}

int list_entries(const char *top, char *path)
{
    struct stat found;
    int folder = open(top, IN_FOLDER);
    for (char *part = strtok(path, "/"); part && folder >= 0; part = strtok(NULL, "/")) {
        int deeper = strcmp(part, "..") ? openat(folder, part, IN_FOLDER) : (errno = EACCES, -1);
        close(folder);
        folder = deeper;
    }
    DIR *listing = folder < 0 ? NULL : fdopendir(folder);
    if (!listing) return fprintf(stderr, "%s\n", strerror(errno == ELOOP ? ENOTDIR : errno)), 66;
    for (struct dirent *each; (each = readdir(listing));) {
        if (!strcmp(each->d_name, ".") || !strcmp(each->d_name, "..")) continue;
        if (fstatat(folder, each->d_name, &found, AT_SYMLINK_NOFOLLOW)) continue;
        char kind = S_ISREG(found.st_mode) ? 'F' : S_ISLNK(found.st_mode) ? 'L' : S_ISDIR(found.st_mode) ? 'S' : 'O';
        printf("%c %o %ju %zu\n%s", kind, (unsigned)(found.st_mode & 0777), (uintmax_t)found.st_size, strlen(each->d_name), each->d_name);
        entries++;
    }
    closedir(listing);
    printf("E 0 %zu 0\n", entries);
    return fflush(stdout) ? 70 : 0;
}

/* The folder in which the last part of `name` lies, each part opened by itself; made where it is missing. */
static int folder_of(int top, char **last)
{
    int folder = dup(top);
    char *part = name;
    for (char *slash; folder >= 0 && (slash = strchr(part, '/')); part = slash + 1) {
        *slash = 0;
        if (!*part || !strcmp(part, "..") || !strcmp(part, ".")) errno = EINVAL, die("path");
        if (mkdirat(folder, part, 0755) && errno != EEXIST) die(part);
        int deeper = openat(folder, part, IN_FOLDER);
        close(folder);
        folder = deeper;
    }
    if (folder < 0) die(part);
    if (!*part || !strcmp(part, "..") || !strcmp(part, ".")) errno = EINVAL, die("path");
    *last = part;
    return folder;
}

static void unpack_one(int top, char kind, unsigned mode, char *content, size_t size)
{
    char *last;
    int folder = folder_of(top, &last);
    if (unlinkat(folder, last, 0) && errno != ENOENT) die(last);
    if (kind == 'F') {
        int fd = openat(folder, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) die(last);
        write_all(fd, content, size);
        if (fchmod(fd, mode & 0777) || close(fd)) die(last);
    } else if (kind == 'L') {
        content[size] = 0;
        if (symlinkat(content, folder, last)) die(last);
    } else if (kind != 'D') errno = EINVAL, die("kind");
    close(folder);
}

int unpack(const char *path)
{
    int top = open(path, IN_FOLDER);
    if (top < 0) die(path);
    char *content = malloc(MOST_CONTENT + 1), kind;
    unsigned mode;
    size_t size, name_size;
    if (!content) die("malloc");
    while (scanf("%c %o %zu %zu", &kind, &mode, &size, &name_size) == 4 && getchar() == '\n' && kind != 'E') {
        if (size > MOST_CONTENT || name_size > MOST_NAME) errno = EFBIG, die("unpack");
        if (fread(name, 1, name_size, stdin) != name_size || fread(content, 1, size, stdin) != size) errno = EPIPE, die("unpack");
        name[name_size] = 0;
        unpack_one(top, kind, mode, content, size);
        entries++;
    }
    if (kind != 'E' || size != entries) errno = EPIPE, die("unpack: the end");
    return 0;
}
