/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock by its three system calls. The numbers are the kernel's and stay; headers of Debian 12 know the first of them only. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sandbox/sandbox_int.h"

#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444
#define __NR_landlock_add_rule 445
#define __NR_landlock_restrict_self 446
#endif

enum { VERSION_FLAG = 1, RULE_PATH = 1, RULE_PORT = 2 };

#define FS_EXECUTE     (1ULL << 0)
#define FS_WRITE_FILE  (1ULL << 1)
#define FS_READ_FILE   (1ULL << 2)
#define FS_READ_DIR    (1ULL << 3)
#define FS_REMOVE_DIR  (1ULL << 4)
#define FS_REMOVE_FILE (1ULL << 5)
#define FS_MAKE_DIR    (1ULL << 7)
#define FS_MAKE_REG    (1ULL << 8)
#define FS_MAKE_SOCK   (1ULL << 9)
#define FS_OF_ABI_1    ((1ULL << 13) - 1)
#define FS_REFER       (1ULL << 13) /* ABI 2 */
#define FS_TRUNCATE    (1ULL << 14) /* ABI 3 */
#define FS_IOCTL_DEV   (1ULL << 15) /* ABI 5 */
#define NET_BIND       (1ULL << 0)  /* ABI 4 */
#define SCOPE_ABSTRACT (1ULL << 0)  /* ABI 6 */
#define SCOPE_SIGNAL   (1ULL << 1)

#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define FS_READ     (FS_READ_FILE | FS_READ_DIR)
#define FS_WRITE    (FS_WRITE_FILE | FS_TRUNCATE | FS_MAKE_REG | FS_MAKE_DIR | FS_MAKE_SOCK | FS_REMOVE_FILE | FS_REMOVE_DIR | FS_REFER)

struct ruleset {
	uint64_t fs, net, scoped;
};

struct beneath {
	uint64_t access;
	int32_t fd;
} __attribute__((packed));

struct port_rule {
	uint64_t access, port;
};

struct making {
	int fd;
	struct ruleset r;
};

static int abi(void)
{
	long n = syscall(__NR_landlock_create_ruleset, NULL, 0, VERSION_FLAG);
	return n < 0 ? 0 : (int)n;
}

static int permit(struct making *m, int fd, const struct stat *st, uint64_t access)
{
	if (!S_ISDIR(st->st_mode))
		access &= FS_OF_FILES;
	struct beneath b = {access & m->r.fs, fd};
	return b.access && syscall(__NR_landlock_add_rule, m->fd, RULE_PATH, &b, 0) ? -1 : 0;
}

static int permit_path(struct making *m, const struct sandbox_path *p)
{
	const struct {
		unsigned wish;
		uint64_t access;
	} all[] = {{SANDBOX_READ, FS_READ}, {SANDBOX_WRITE, FS_WRITE}, {SANDBOX_DEVICE, FS_WRITE_FILE | FS_TRUNCATE}, {SANDBOX_SOCKET, FS_MAKE_SOCK | FS_REMOVE_FILE}};
	uint64_t access = 0;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		access |= p->access & all[i].wish ? all[i].access : 0;
	struct stat st;
	int fd = open(p->path, O_PATH | O_CLOEXEC), rc = 0;
	if (fd < 0)
		return 0; /* not there, so nothing to permit */
	if (!fstat(fd, &st))
		rc = permit(m, fd, &st, access);
	close(fd);
	return rc;
}

static int permit_port(struct making *m, uint16_t port)
{
	struct port_rule p = {NET_BIND, port};
	return syscall(__NR_landlock_add_rule, m->fd, RULE_PORT, &p, 0) ? -1 : 0;
}

int sandbox_landlock(const struct sandbox_opts *o, struct sandbox_level *ret, struct entente_err *err)
{
	struct making m = {.fd = -1};
	int version = abi();
	ret->landlock = version;
	if (!version) {
		sandbox_lacks(ret, errno == EOPNOTSUPP ? "Landlock is not among the kernel's security modules (lsm=)"
			      : errno == EPERM ? "Landlock is forbidden from outside (SystemCallFilter= of the unit?)"
					       : "the kernel has no Landlock (Linux 5.13 or later)");
		return 0;
	}
	m.r.fs = FS_OF_ABI_1 | (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0) | (version >= 5 ? FS_IOCTL_DEV : 0);
	m.r.net = version >= 4 && o->paths->ports_given ? NET_BIND : 0;
	m.r.scoped = version >= 6 ? SCOPE_SIGNAL | (o->abstract ? 0 : SCOPE_ABSTRACT) : 0;
	m.fd = (int)syscall(__NR_landlock_create_ruleset, &m.r, version >= 6 ? sizeof m.r : version >= 4 ? 16 : 8, 0);
	int rc = m.fd < 0 ? -1 : 0;
	for (size_t i = 0; !rc && i < o->paths->n; i++)
		rc = permit_path(&m, &o->paths->list[i]);
	if (!rc && m.r.net)
		rc = permit_port(&m, 0);
	for (size_t i = 0; !rc && m.r.net && i < o->paths->n_ports; i++)
		rc = permit_port(&m, o->paths->ports[i]);
	if (!rc)
		rc = syscall(__NR_landlock_restrict_self, m.fd, 0) ? -1 : 0;
	if (rc) {
		char text[96];
		snprintf(text, sizeof text, "Landlock: %s", strerror(errno));
		sandbox_lacks(ret, text);
		rc = err_set(err, ENTENTE_EIO, REASON_NONE, "%s", text);
	} else {
		ret->files = true;
		ret->ports = m.r.net != 0;
		ret->scoped = m.r.scoped != 0;
	}
	if (m.fd >= 0)
		close(m.fd);
	return rc;
}
