/* A power cut, emulated: preload this library and set SHADOW to an empty folder.
 *
 * At each fsync or fdatasync that succeeds, the file's content of that moment is copied to SHADOW (to a temporary name,
 * then renamed, so that a kill leaves the copy before). What was written and never synced is not in SHADOW: after a kill
 * it holds the least that a disk would hold after a power cut. Removing a file removes its copy.
 *
 * Build: cc -shared -fPIC -O2 -o shim.so fsync_only_shim.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int shadow_name(char *out, const char *path, const char *suffix) {
    const char *folder = getenv("SHADOW");
    if (!folder) return 0;
    const char *base = strrchr(path, '/');
    int n = snprintf(out, PATH_MAX, "%s/%s%s", folder, base ? base + 1 : path, suffix);
    return n > 0 && n < PATH_MAX;
}

static void copy(const char *from, const char *to) {
    static const size_t size = 1 << 18;
    char *buffer = malloc(size);
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    ssize_t n;
    while (in >= 0 && out >= 0 && (n = read(in, buffer, size)) > 0)
        if (write(out, buffer, (size_t)n) != n) abort(); /* a copy cut short would prove nothing */
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    free(buffer);
}

static void keep(int fd) {
    char link[64], path[PATH_MAX], kept[PATH_MAX], part[PATH_MAX];
    struct stat st;
    if (!getenv("SHADOW") || fstat(fd, &st) || !S_ISREG(st.st_mode)) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return;
    path[n] = 0;
    if (!shadow_name(kept, path, "") || !shadow_name(part, path, ".part")) return;
    copy(path, part);
    rename(part, kept);
}

int fsync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    int result = real(fd);
    if (!result) keep(fd);
    return result;
}

int fdatasync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    int result = real(fd);
    if (!result) keep(fd);
    return result;
}

int unlink(const char *path) {
    int (*real)(const char *) = dlsym(RTLD_NEXT, "unlink");
    char kept[PATH_MAX];
    int result = real(path);
    if (!result && shadow_name(kept, path, "")) real(kept);
    return result;
}
