/* Stands between a program and its disk: fails one call of its choice, and keeps a second copy of
 * the journal's files as a power cut would leave them: what was synced, and nothing after it.
 *
 *   COUNTERFOIL_TEST_DISK_FAULT   "sync journal.db-wal 3": the third sync of that file fails, once;
 *                                 "write journal.db-wal 7": so does the seventh write
 *   COUNTERFOIL_TEST_SYNCED       the folder of the second copies
 *   COUNTERFOIL_TEST_SYNC_MS      how long a sync of the WAL takes longer, in milliseconds
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char fault_kind[16], fault_file[64];
static long fault_nth, passed;
static const char *folder;
static useconds_t pause_us;
static pthread_once_t read_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t one_copy = PTHREAD_MUTEX_INITIALIZER;

static void read_settings(void)
{
    const char *fault = getenv("COUNTERFOIL_TEST_DISK_FAULT");
    if (fault)
        sscanf(fault, "%15s %63s %ld", fault_kind, fault_file, &fault_nth);
    folder = getenv("COUNTERFOIL_TEST_SYNCED");
    const char *pause = getenv("COUNTERFOIL_TEST_SYNC_MS");
    pause_us = pause ? (useconds_t)atol(pause) * 1000 : 0;
}

/* The last segment of the path of an open file; empty where it has none. */
static const char *name_of(int fd, char path[4096])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 4095);
    path[length < 0 ? 0 : length] = 0;
    char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int fails(const char *kind, const char *name)
{
    if (strcmp(kind, fault_kind) || strcmp(name, fault_file))
        return 0;
    return __atomic_add_fetch(&passed, 1, __ATOMIC_SEQ_CST) == fault_nth;
}

/* Copies what is there before the sync: more is not promised by it. */
static void copy(int fd, const char *path, const char *name, char to[4096])
{
    char bytes[65536];
    off_t at = 0;
    ssize_t length;
    snprintf(to, 4096, "%s/%s.new", folder, name);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    /* Another descriptor on the database would drop SQLite's locks when it closes; the WAL has none. */
    int in = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY ? open(path, O_RDONLY) : fd;
    while ((length = pread(in, bytes, sizeof bytes, at)) > 0) {
        char *next = bytes;
        at += length;
        while (length > 0) {
            ssize_t done = syscall(SYS_write, out, next, length);
            if (done <= 0)
                abort();
            next += done;
            length -= done;
        }
    }
    if (in != fd)
        close(in);
    close(out);
}

static int sync_as(const char *real, int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, real);
    char path[4096], to[4096], whole[4096];
    pthread_once(&read_once, read_settings);
    const char *name = name_of(fd, path);
    if (fails("sync", name)) {
        errno = EIO;
        return -1;
    }
    int kept = folder && (!strcmp(name, "journal.db") || !strcmp(name, "journal.db-wal"));
    if (kept) {
        pthread_mutex_lock(&one_copy);
        copy(fd, path, name, to);
    }
    if (pause_us && strstr(name, "-wal"))
        usleep(pause_us);
    int result = next(fd);
    if (kept) {
        snprintf(whole, sizeof whole, "%s/%s", folder, name);
        if (result == 0)
            rename(to, whole);
        pthread_mutex_unlock(&one_copy);
    }
    return result;
}

int fsync(int fd)
{
    return sync_as("fsync", fd);
}

int fdatasync(int fd)
{
    return sync_as("fdatasync", fd);
}

static int write_fails(int fd)
{
    char path[4096];
    pthread_once(&read_once, read_settings);
    if (!fault_nth || !fails("write", name_of(fd, path)))
        return 0;
    errno = EIO;
    return 1;
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    static ssize_t (*next)(int, const void *, size_t);
    if (!next)
        next = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    return write_fails(fd) ? -1 : next(fd, bytes, length);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at)
{
    static ssize_t (*next)(int, const void *, size_t, off_t);
    if (!next)
        next = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    return write_fails(fd) ? -1 : next(fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at)
{
    static ssize_t (*next)(int, const void *, size_t, off64_t);
    if (!next)
        next = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    return write_fails(fd) ? -1 : next(fd, bytes, length, at);
}
