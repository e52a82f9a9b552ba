/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody's code runs in the daemon. What it tries, here in a child that has locked itself in as the daemon does, must fail; and what is
 * tried must be something that works outside, or the test would show nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "world.h"

enum { KILLED = ENDED_BY_SIGSYS };

static struct world w;

static int result(long rc)
{
	return rc < 0 ? errno : 0;
}

/* ---- files */

static int read_key(const struct world *x)
{
	return world_open(x->key, O_RDONLY);
}

static int read_key_over_its_folder(const struct world *x)
{
	char path[128];
	snprintf(path, sizeof path, "%s/tls", x->top);
	int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = openat(folder, "../keys/site.key", O_RDONLY | O_CLOEXEC);
	return result(fd);
}

static int link_key(const struct world *x)
{
	char path[128];
	snprintf(path, sizeof path, "%s/mine", x->state);
	unlink(path);
	return link(x->key, path) ? errno : world_open(path, O_RDONLY);
}

static int rename_key(const struct world *x)
{
	char path[128];
	snprintf(path, sizeof path, "%s/mine", x->state);
	int rc = rename(x->key, path) ? errno : world_open(path, O_RDONLY);
	return !rc && rename(path, x->key) ? ENDED_OTHERWISE : rc;
}

static int read_shadow(const struct world *x)
{
	(void)x;
	return world_open("/etc/shadow", O_RDONLY);
}

static int read_secret(const struct world *x)
{
	return world_open(x->secret, O_RDONLY);
}

static int list_root(const struct world *x)
{
	(void)x;
	return world_open("/", O_RDONLY | O_DIRECTORY);
}

static int read_memory_of_parent(const struct world *x)
{
	char path[64];
	(void)x;
	snprintf(path, sizeof path, "/proc/%d/mem", (int)getppid());
	return world_open(path, O_RDONLY);
}

static int write_config(const struct world *x)
{
	return world_open(x->config, O_WRONLY);
}

static int truncate_config(const struct world *x)
{
	return result(truncate(x->config, 8));
}

static int let_all_read(const struct world *x)
{
	return result(chmod(x->secret, 0666));
}

static int make_beside_config(const struct world *x)
{
	char path[128];
	snprintf(path, sizeof path, "%s/etc/more", x->top);
	return world_open(path, O_WRONLY | O_CREAT);
}

static int delete_certificate(const struct world *x)
{
	int rc = result(unlink(x->certificate));
	return !rc && !world_spill(x->certificate, "certificate") ? ENDED_OTHERWISE : rc;
}

static int make_elsewhere(const struct world *x)
{
	char path[128];
	snprintf(path, sizeof path, "%s/new", x->shared);
	return world_open(path, O_WRONLY | O_CREAT);
}

static int file_in_run(const struct world *x)
{
	char path[128];
	snprintf(path, sizeof path, "%s/new", x->run);
	return world_open(path, O_WRONLY | O_CREAT);
}

static int make_link(const struct world *x)
{
	char path[128];
	snprintf(path, sizeof path, "%s/link", x->state);
	int rc = result(symlink("/etc/shadow", path));
	unlink(path);
	return rc;
}

static int make_device(const struct world *x)
{
	char path[128];
	snprintf(path, sizeof path, "%s/fifo", x->state);
	int rc = result(mkfifo(path, 0600));
	unlink(path);
	return rc;
}

/* ---- programs and processes */

static int exec_program(const struct world *x)
{
	(void)x;
	execl("/bin/true", "true", (char *)NULL);
	return errno;
}

static int exec_own_file(const struct world *x)
{
	char path[128];
	char *argv[] = {path, NULL}, *envp[] = {NULL};
	snprintf(path, sizeof path, "%s/program", x->state);
	world_spill(path, "#!/bin/true\n");
	chmod(path, 0700);
	syscall(SYS_execveat, AT_FDCWD, path, argv, envp, 0);
	return errno;
}

static int fork_plainly(const struct world *x)
{
	(void)x;
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!pid)
		_exit(0);
	int rc = result(pid);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return rc;
}

#ifdef SYS_fork
static int fork_as_of_old(const struct world *x)
{
	(void)x;
	pid_t pid = (pid_t)syscall(SYS_fork);
	if (!pid)
		_exit(0);
	int rc = result(pid);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return rc;
}
#endif

static int new_user_space(const struct world *x)
{
	(void)x;
	return result(unshare(CLONE_NEWUSER));
}

static int clone_new_space(const struct world *x)
{
	(void)x;
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	if (!pid)
		_exit(0);
	int rc = result(pid);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return rc;
}

static int join_space(const struct world *x)
{
	(void)x;
	int fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
	return result(setns(fd, 0));
}

static int trace_parent(const struct world *x)
{
	(void)x;
	return result(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
}

static int read_parent(const struct world *x)
{
	char b[8];
	struct iovec to = {b, sizeof b}, from = {&w, sizeof b};
	(void)x;
	return result(process_vm_readv(getppid(), &to, 1, &from, 1, 0));
}

static int signal_parent(const struct world *x)
{
	(void)x;
	return result(kill(getppid(), 0));
}

static int signal_parent_by_thread(const struct world *x)
{
	(void)x;
	return result(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int limit_parent(const struct world *x)
{
	struct rlimit r;
	(void)x;
	return result(prlimit(getppid(), RLIMIT_NOFILE, NULL, &r) || prlimit(getppid(), RLIMIT_NOFILE, &r, NULL) ? -1 : 0);
}

/* ---- sockets */

static int packet_socket(const struct world *x)
{
	(void)x;
	return result(socket(AF_PACKET, SOCK_RAW, 0));
}

static int netlink_socket(const struct world *x)
{
	(void)x;
	return result(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int raw_socket(const struct world *x)
{
	(void)x;
	return result(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int bind_other_port(const struct world *x)
{
	struct sockaddr_in a = world_loopback(x->other);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return result(bind(fd, (struct sockaddr *)&a, sizeof a));
}

static int abstract_name(struct sockaddr_un *a)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	return (int)offsetof(struct sockaddr_un, sun_path) + 1 + snprintf(a->sun_path + 1, sizeof a->sun_path - 1, "entente-break-in-%d", (int)getppid());
}

static int connect_abstract(const struct world *x)
{
	struct sockaddr_un a;
	(void)x;
	socklen_t n = (socklen_t)abstract_name(&a);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return result(connect(fd, (struct sockaddr *)&a, n));
}

/* ---- memory */

static int writable_code(const struct world *x)
{
	(void)x;
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
}

static int code_out_of_nothing(const struct world *x)
{
	(void)x;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
}

static int data_to_code(const struct world *x)
{
	(void)x;
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? 0 : result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int memory_file(const struct world *x)
{
	(void)x;
	return result(memfd_create("program", MFD_CLOEXEC));
}

static int dump_again(const struct world *x)
{
	(void)x;
	return result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

/* ---- the kernel */

static int mount_something(const struct world *x)
{
	int rc = result(mount("none", x->shared, "tmpfs", 0, NULL));
	if (!rc)
		umount(x->shared);
	return rc;
}

static int change_root(const struct world *x)
{
	return result(chroot(x->state));
}

static int become_root(const struct world *x)
{
	(void)x;
	return result(setuid(getuid()));
}

static int load_bpf(const struct world *x)
{
	union bpf_attr a = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
	(void)x;
	return result(syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof a));
}

static int look_at_performance(const struct world *x)
{
	struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE, .size = sizeof a, .config = PERF_COUNT_SW_CPU_CLOCK, .exclude_kernel = 1};
	(void)x;
	return result(syscall(SYS_perf_event_open, &a, 0, -1, -1, 0));
}

static int key_ring(const struct world *x)
{
	(void)x;
	return result(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1));
}

static int ring_of_requests(const struct world *x)
{
	char params[120] = "";
	(void)x;
	return result(syscall(SYS_io_uring_setup, 1, params));
}

static int faults_of_users(const struct world *x)
{
	(void)x;
	return result(syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */));
}

static int module(const struct world *x)
{
	(void)x;
	return result(syscall(SYS_init_module, "", 0, ""));
}

static int other_kernel(const struct world *x)
{
	(void)x;
	return result(syscall(SYS_kexec_load, 0, 0, NULL, 0));
}

static int type_into_terminal(const struct world *x)
{
	(void)x;
	return result(ioctl(STDIN_FILENO, TIOCSTI, ""));
}

/* ---- the table */

struct attempt {
	const char *name;
	int (*fn)(const struct world *w);
	int expect;                 /* KILLED, or 0: any error */
	bool works;                 /* outside, for root; else the machine may forbid it, too */
	enum sandbox_role role;
};

static const struct attempt attempts[] = {
	{"read the key", read_key, 0, true, SANDBOX_ALL},
	{"read the key over its folder", read_key_over_its_folder, 0, true, SANDBOX_ALL},
	{"link the key to where files may be read", link_key, 0, true, SANDBOX_ALL},
	{"rename the key to where files may be read", rename_key, 0, true, SANDBOX_ALL},
	{"read /etc/shadow", read_shadow, 0, true, SANDBOX_ALL},
	{"read a file elsewhere", read_secret, 0, true, SANDBOX_ALL},
	{"list the root folder", list_root, 0, true, SANDBOX_ALL},
	{"open another process's memory", read_memory_of_parent, 0, true, SANDBOX_ALL},
	{"write the configuration", write_config, 0, true, SANDBOX_ALL},
	{"truncate the configuration", truncate_config, 0, true, SANDBOX_ALL},
	{"let everybody read a file elsewhere", let_all_read, 0, true, SANDBOX_ALL},
	{"make a file beside the configuration", make_beside_config, 0, true, SANDBOX_ALL},
	{"delete the certificate", delete_certificate, 0, true, SANDBOX_ALL},
	{"make a file elsewhere", make_elsewhere, 0, true, SANDBOX_ALL},
	{"make a file beside the sockets", file_in_run, 0, true, SANDBOX_ALL},
	{"make a symbolic link", make_link, 0, true, SANDBOX_ALL},
	{"make a pipe with a name", make_device, 0, true, SANDBOX_ALL},
	{"execve", exec_program, KILLED, false, SANDBOX_ALL},
	{"execve, edge", exec_program, KILLED, false, SANDBOX_EDGE},
	{"execve, gateway", exec_program, KILLED, false, SANDBOX_GATEWAY},
	{"execveat of a file of its own", exec_own_file, KILLED, false, SANDBOX_ALL},
	{"a process", fork_plainly, 0, true, SANDBOX_ALL},
#ifdef SYS_fork
	{"fork", fork_as_of_old, KILLED, true, SANDBOX_ALL},
#endif
	{"unshare", new_user_space, KILLED, false, SANDBOX_ALL},
	{"clone into a namespace", clone_new_space, 0, false, SANDBOX_ALL},
	{"setns", join_space, KILLED, true, SANDBOX_ALL},
	{"ptrace", trace_parent, KILLED, false, SANDBOX_ALL},
	{"process_vm_readv", read_parent, KILLED, true, SANDBOX_ALL},
	{"signal another process", signal_parent, 0, true, SANDBOX_ALL},
	{"signal another process's thread", signal_parent_by_thread, 0, true, SANDBOX_ALL},
	{"limits of another process", limit_parent, 0, true, SANDBOX_ALL},
	{"AF_PACKET", packet_socket, 0, true, SANDBOX_ALL},
	{"AF_NETLINK", netlink_socket, 0, true, SANDBOX_ALL},
	{"a raw socket", raw_socket, 0, true, SANDBOX_ALL},
	{"listen on a port that is not in the configuration", bind_other_port, 0, true, SANDBOX_ALL},
	{"connect to an abstract socket", connect_abstract, 0, true, SANDBOX_ALL},
	{"memory to write and execute", writable_code, 0, true, SANDBOX_ALL},
	{"memory to execute", code_out_of_nothing, 0, true, SANDBOX_ALL},
	{"what was written made executable", data_to_code, 0, true, SANDBOX_ALL},
	{"memfd_create", memory_file, KILLED, true, SANDBOX_ALL},
	{"dumpable again", dump_again, 0, true, SANDBOX_ALL},
	{"mount", mount_something, KILLED, true, SANDBOX_ALL},
	{"chroot", change_root, KILLED, true, SANDBOX_ALL},
	{"setuid", become_root, KILLED, true, SANDBOX_ALL},
	{"bpf", load_bpf, KILLED, false, SANDBOX_ALL},
	{"perf_event_open", look_at_performance, KILLED, false, SANDBOX_ALL},
	{"keyctl", key_ring, KILLED, false, SANDBOX_ALL},
	{"io_uring", ring_of_requests, KILLED, false, SANDBOX_ALL},
	{"userfaultfd", faults_of_users, KILLED, false, SANDBOX_ALL},
	{"init_module", module, KILLED, false, SANDBOX_ALL},
	{"kexec_load", other_kernel, KILLED, false, SANDBOX_ALL},
	{"TIOCSTI", type_into_terminal, 0, false, SANDBOX_ALL},
};

/* What the kernel cannot restrict is no fault of ours. */
static bool needs_newer(const struct attempt *a, const struct sandbox_level *l)
{
	return (a->fn == bind_other_port && !l->ports) || (a->fn == connect_abstract && !l->scoped);
}

static struct sandbox_level reached;

static int level_child(const struct world *x)
{
	struct sandbox_level l;
	struct entente_err err;
	int to = open(x->secret, O_WRONLY | O_CLOEXEC); /* descriptors go on working */
	return world_enter(x, SANDBOX_ALL, SANDBOX_ON, &l, &err) || write(to, &l, sizeof l) != sizeof l;
}

/* A machine without Landlock, or a build for tests: nothing to break into. */
static bool possible(void)
{
	int fd = -1;
	if (world_child(level_child, &w) || (fd = open(w.secret, O_RDONLY | O_CLOEXEC)) < 0)
		fail_msg("the sandbox cannot be entered");
	assert_int_equal(read(fd, &reached, sizeof reached), sizeof reached);
	close(fd);
	return reached.syscalls && reached.files;
}

static void test_attempts(void **state)
{
	(void)state;
	unsigned wrong = 0;
	struct sockaddr_un a;
	if (!possible()) {
		puts("# seccomp and Landlock are not both to be had: nothing was tried"); /* TAP's SKIP is a failure to cmocka 1.1 */
		return;
	}
	int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	a = (struct sockaddr_un){.sun_family = AF_UNIX};
	int n = (int)offsetof(struct sockaddr_un, sun_path) + 1 + snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "entente-break-in-%d", (int)getpid());
	assert_int_equal(bind(listening, (struct sockaddr *)&a, (socklen_t)n), 0);
	assert_int_equal(listen(listening, 8), 0);
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
		const struct attempt *t = &attempts[i];
		if (needs_newer(t, &reached))
			continue;
		int outside = t->works && geteuid() == 0 ? world_try(&w, t->role, true, t->fn) : 0, inside = world_try(&w, t->role, false, t->fn);
		bool good = t->expect == KILLED ? inside == KILLED : inside > 0 && inside < 250;
		if (good && !outside)
			continue;
		wrong++;
		print_message("%s: %s; outside %d\n", t->name, inside == 0 ? "it works" : inside == KILLED ? "killed" : inside < 0 ? "ended otherwise" : strerror(inside), outside);
	}
	close(listening);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_attempts)};
	world_make(&w);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	world_remove(&w);
	return rc;
}
