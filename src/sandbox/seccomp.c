/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of system calls, made by libseccomp from syscalls.def and the rules for arguments below. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>
#include "sandbox/sandbox_int.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* the C library names its memory */
#endif

enum { A = 1 << SANDBOX_ALL, E = 1 << SANDBOX_EDGE, G = 1 << SANDBOX_GATEWAY };
enum { FIRST = 255, PRIORITIES = 20 }; /* what comes first in the table is found first by the filter */

struct row {
	const char *name;
	unsigned roles; /* 0: kill */
};

static const struct row rows[] = {
#define CALL(name, roles) {name, roles},
#define KILL(name) {name, 0},
#include "sandbox/syscalls.def"
};

struct filter {
	scmp_filter_ctx x;
	unsigned role;
	unsigned allowed;
	int rc; /* the first that failed */
};

static void keep(struct filter *f, int rc)
{
	if (rc && !f->rc)
		f->rc = rc;
}

/* With up to two conditions; all must hold. */
static void allow(struct filter *f, const char *name, unsigned n, struct scmp_arg_cmp a, struct scmp_arg_cmp b)
{
	int nr = seccomp_syscall_resolve_name(name);
	const struct scmp_arg_cmp both[] = {a, b};
	if (nr == __NR_SCMP_ERROR)
		return;
	keep(f, seccomp_rule_add_array(f->x, SCMP_ACT_ALLOW, nr, n, both));
}

#define ALLOW1(f, name, a)    allow(f, name, 1, a, (struct scmp_arg_cmp){0})
#define ALLOW2(f, name, a, b) allow(f, name, 2, a, b)

static void from_table(struct filter *f)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *r = &rows[i];
		int nr = seccomp_syscall_resolve_name(r->name);
		if (nr == __NR_SCMP_ERROR)
			continue;
		if (!r->roles) {
			keep(f, seccomp_rule_add(f->x, SCMP_ACT_KILL_PROCESS, nr, 0));
		} else if (r->roles & f->role) {
			keep(f, seccomp_rule_add(f->x, SCMP_ACT_ALLOW, nr, 0));
			f->allowed++;
			if (i < PRIORITIES)
				keep(f, seccomp_syscall_priority(f->x, nr, (uint8_t)(FIRST - i)));
		}
	}
}

static void sockets(struct filter *f)
{
	ALLOW1(f, "socket", SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	ALLOW1(f, "socket", SCMP_A0(SCMP_CMP_EQ, AF_INET));
	ALLOW1(f, "socket", SCMP_A0(SCMP_CMP_EQ, AF_INET6));
	ALLOW1(f, "socketpair", SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
}

static void memory(struct filter *f)
{
	/* never writable and executable; what is written never becomes executable */
	ALLOW1(f, "mmap", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, 0));
	ALLOW1(f, "mmap", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, PROT_WRITE));
	ALLOW2(f, "mmap", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, PROT_EXEC),
	       SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0)); /* a name service module, a provider of OpenSSL */
	ALLOW1(f, "mprotect", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

static void process(struct filter *f)
{
	const scmp_datum_t new_space = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
				       CLONE_NEWTIME;
	static const unsigned names[] = {PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS, PR_GET_SECCOMP, PR_CAPBSET_READ};
	static const unsigned requests[] = {FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, TIOCOUTQ, TCGETS, SIOCGIFINDEX};
	const scmp_datum_t self = (scmp_datum_t)getpid();
	/* threads of ours, no processes. clone3 keeps its flags in memory, where no filter can look: it is not there, the C library takes clone. */
	ALLOW1(f, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM | CLONE_SIGHAND | (new_space & ~(scmp_datum_t)CLONE_NEWTIME),
					CLONE_THREAD | CLONE_VM | CLONE_SIGHAND));
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		ALLOW1(f, "prctl", SCMP_A0_32(SCMP_CMP_EQ, names[i]));
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
		ALLOW1(f, "ioctl", SCMP_A1_32(SCMP_CMP_EQ, requests[i]));
	ALLOW1(f, "kill", SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)self));
	ALLOW1(f, "tgkill", SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)self));
	ALLOW2(f, "prlimit64", SCMP_A0_32(SCMP_CMP_EQ, 0), SCMP_A2(SCMP_CMP_EQ, 0));
	ALLOW2(f, "prlimit64", SCMP_A0_32(SCMP_CMP_EQ, 0), SCMP_A1_32(SCMP_CMP_EQ, RLIMIT_NOFILE));
	ALLOW1(f, "setrlimit", SCMP_A0_32(SCMP_CMP_EQ, RLIMIT_NOFILE));
}

int sandbox_seccomp(const struct sandbox_opts *o, struct sandbox_level *ret, struct entente_err *err)
{
	struct filter f = {.x = seccomp_init(SCMP_ACT_ERRNO(ENOSYS)), .role = 1U << o->role};
	char text[96];
	if (!f.x) {
		sandbox_lacks(ret, "seccomp is not to be had on this architecture");
		return 0;
	}
	keep(&f, seccomp_attr_set(f.x, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
	seccomp_attr_set(f.x, SCMP_FLTATR_CTL_TSYNC, 1);
	seccomp_attr_set(f.x, SCMP_FLTATR_CTL_LOG, 1); /* to the audit log: an older kernel does without */
	seccomp_attr_set(f.x, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	from_table(&f);
	sockets(&f);
	memory(&f);
	process(&f);
	if (!f.rc)
		keep(&f, seccomp_load(f.x));
	seccomp_release(f.x);
	if (f.rc) {
		snprintf(text, sizeof text, "seccomp: %s", strerror(-f.rc));
		sandbox_lacks(ret, text);
		return err_set(err, ENTENTE_EIO, REASON_NONE, "%s", text);
	}
	ret->syscalls = true;
	ret->allowed = f.allowed;
	return 0;
}
