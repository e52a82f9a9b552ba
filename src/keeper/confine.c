/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper does not need, it does not have. */
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include "keeper/keeper_int.h"

static bool kept(const struct keeper_child *c, int fd)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->lanes[i] == fd)
			return true;
	return fd == c->life || fd == STDERR_FILENO;
}

bool keeper_withdraw(const struct keeper_child *c)
{
	static const int deaf[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU, SIGALRM};
	struct rlimit none = {0, 0};
	int top = c->life;
	/* systemd and the terminal tell the whole group; the server needs its keys until it has drained */
	for (size_t i = 0; i < sizeof deaf / sizeof *deaf; i++)
		signal(deaf[i], SIG_IGN);
	sigset_t mask;
	sigemptyset(&mask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	prctl(PR_SET_NAME, "entented: keys");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != c->parent)
		return false;
	prctl(PR_SET_DUMPABLE, 0); /* no core, and no other process of the same user reads our memory */
	setrlimit(RLIMIT_CORE, &none);
	setrlimit(RLIMIT_FSIZE, &none);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (unsigned i = 0; i < c->n; i++)
		top = c->lanes[i] > top ? c->lanes[i] : top;
	for (int fd = 0; fd <= top; fd++)
		if (!kept(c, fd))
			close(fd);
	close_range((unsigned)top + 1, ~0u, 0);
	return chdir("/") == 0;
}

#define ALLOW(...) (ok = ok && !seccomp_rule_add(f, SCMP_ACT_ALLOW, __VA_ARGS__))

bool keeper_confine(void)
{
	/* Serving, waiting for one another, the heap, randomness, the end. Unlike the server's filter (sandbox/syscalls.def) this one kills: there is so little
	 * code behind it that whatever else is called is somebody else's. */
	static const int plain[] = {
		SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
		SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(getrandom), SCMP_SYS(getpid),
		SCMP_SYS(gettid), SCMP_SYS(getppid), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(clock_nanosleep), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn),
		SCMP_SYS(rt_sigprocmask), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(exit), SCMP_SYS(exit_group),
		SCMP_SYS(sched_getaffinity), /* some C libraries' malloc, with more than eight threads */
	};
	enum { WRITES = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND };
#ifdef ENTENTE_NO_SANDBOX /* the run time of a sanitizer maps, polls and writes as it likes */
	return false;
#endif
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	bool ok = f && !seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		ALLOW(plain[i], 0);
	ALLOW(SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, WRITES, 0));
	ALLOW(SCMP_SYS(open), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, WRITES, 0));
	ALLOW(SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	ALLOW(SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	ok = ok && !seccomp_load(f);
	seccomp_release(f);
	return ok;
}
