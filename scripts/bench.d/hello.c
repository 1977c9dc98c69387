/*
 * The least that libfuse can do: the same files as bare.py, by its low-level interface, in C and in one thread.
 *
 * Compiled by scripts/bench where there is a compiler. What bare.py takes beyond this is pyfuse3's and trio's.
 */
#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Inodes by number, as in bare.py: the fixed ones, then a block for each kind that there are many of. */
enum { ROOT = 1, HOST, HOST_MEMORY, FREE_KB, DOMAINS, BYTES };
#define BLOCK (1UL << 24)
#define DOMAIN (1 * BLOCK)
#define MEMORY (2 * BLOCK)
#define CURRENT_KB (3 * BLOCK)
#define SIZED (4 * BLOCK)

static const char constant[] = "28394804\n";
static unsigned long domains;
static char *content;
static size_t content_size;

static double timeout_of(fuse_ino_t inode)
{
    return inode < BLOCK ? 300.0 : 1.0;
}

static void attributes(fuse_ino_t inode, struct stat *st)
{
    int file = inode == FREE_KB || inode >= CURRENT_KB;

    memset(st, 0, sizeof *st);
    st->st_ino = inode;
    st->st_mode = file ? S_IFREG | 0444 : S_IFDIR | 0555;
    st->st_nlink = file ? 1 : 2;
    st->st_uid = getuid();
    st->st_gid = getgid();
}

static fuse_ino_t child(fuse_ino_t parent, const char *name)
{
    static const struct { fuse_ino_t parent; const char *name; fuse_ino_t inode; } fixed[] = {
        { ROOT, "host", HOST }, { ROOT, "domains", DOMAINS }, { ROOT, "bytes", BYTES },
        { HOST, "memory", HOST_MEMORY }, { HOST_MEMORY, "free_kb", FREE_KB },
    };
    fuse_ino_t kind = parent / BLOCK * BLOCK;

    if (parent == DOMAINS)
        return strtoul(name, NULL, 10) < domains ? DOMAIN + strtoul(name, NULL, 10) : 0;
    if (parent == BYTES)
        return SIZED + strtoul(name, NULL, 10);
    if (kind == DOMAIN && !strcmp(name, "memory"))
        return MEMORY + parent - DOMAIN;
    if (kind == MEMORY && !strcmp(name, "current_kb"))
        return CURRENT_KB + parent - MEMORY;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (fixed[i].parent == parent && !strcmp(fixed[i].name, name))
            return fixed[i].inode;
    return 0;
}

static void entry_of(fuse_ino_t inode, struct fuse_entry_param *entry)
{
    memset(entry, 0, sizeof *entry);
    entry->ino = inode;
    attributes(inode, &entry->attr);
    entry->attr_timeout = entry->entry_timeout = timeout_of(inode);
}

static void look_up(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param entry;
    fuse_ino_t inode = child(parent, name);

    if (!inode) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    entry_of(inode, &entry);
    fuse_reply_entry(req, &entry);
}

static void get_attributes(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *info)
{
    struct stat st;

    (void)info;
    attributes(inode, &st);
    fuse_reply_attr(req, &st, timeout_of(inode));
}

static void open_file(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *info)
{
    if (inode >= SIZED && inode - SIZED > content_size) {
        content = realloc(content, content_size = inode - SIZED);
        if (!content)
            abort();
        memset(content, 'x', content_size);
    }
    info->fh = inode;
    info->direct_io = 1;
    fuse_reply_open(req, info);
}

static void read_file(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *info)
{
    const char *from = inode >= SIZED ? content : constant;
    size_t length = inode >= SIZED ? inode - SIZED : sizeof constant - 1;

    (void)info;
    if ((size_t)offset >= length)
        size = 0;
    else if (size > length - offset)
        size = length - offset;
    fuse_reply_buf(req, size ? from + offset : NULL, size);
}

static void release(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *info)
{
    (void)inode;
    (void)info;
    fuse_reply_err(req, 0);
}

static void read_directory(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *info)
{
    char *room = malloc(size), name[24];
    size_t used = 0;
    struct fuse_entry_param entry;

    (void)info;
    for (unsigned long number = offset; inode == DOMAINS && number < domains; number++) {
        size_t needs;

        snprintf(name, sizeof name, "%lu", number);
        entry_of(DOMAIN + number, &entry);
        needs = fuse_add_direntry_plus(req, room + used, size - used, name, &entry, number + 1);
        if (needs > size - used)
            break;
        used += needs;
    }
    fuse_reply_buf(req, room, used);
    free(room);
}

static const struct fuse_lowlevel_ops operations = {
    .lookup = look_up, .getattr = get_attributes, .open = open_file, .read = read_file, .release = release,
    .readdirplus = read_directory,
};

/* hello MOUNTPOINT DOMAINS READY_FD */
int main(int argc, char **argv)
{
    char *words[] = { argv[0], "-o", "fsname=bare,subtype=bare,default_permissions,nosuid,nodev,noexec" };
    struct fuse_args args = FUSE_ARGS_INIT(3, words);
    struct fuse_session *session;
    int ready_fd, status = 1;

    if (argc != 4)
        return 2;
    domains = strtoul(argv[2], NULL, 10);
    ready_fd = atoi(argv[3]);
    session = fuse_session_new(&args, &operations, sizeof operations, NULL);
    if (!session)
        return 1;
    if (!fuse_set_signal_handlers(session) && !fuse_session_mount(session, argv[1])) {
        if (write(ready_fd, "READY\n", 6) == 6)
            status = fuse_session_loop(session) < 0;
        close(ready_fd);
        fuse_session_unmount(session);
    }
    fuse_session_destroy(session);
    return status;
}
