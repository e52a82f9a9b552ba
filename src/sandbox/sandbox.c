/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sandbox/sandbox_int.h"

enum { CAPABILITIES = 64 };

void sandbox_lacks(struct sandbox_level *l, const char *what)
{
	size_t n = strlen(l->why);
	snprintf(l->why + n, sizeof l->why - n, "%s%s", n ? "; " : "", what);
}

static unsigned threads(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/task");
	for (struct dirent *e; d && (e = readdir(d));)
		n += *e->d_name != '.';
	if (d)
		closedir(d);
	return n;
}

/* ---- privileges */

static void drop_capabilities(uint64_t keep, struct sandbox_level *ret)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {{0}};
	for (unsigned i = 0; i < CAPABILITIES; i++)
		if (!(keep >> i & 1))
			prctl(PR_CAPBSET_DROP, (unsigned long)i, 0, 0, 0); /* who has no CAP_SETPCAP has none of the others to get back: no new privileges */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capget, &h, d))
		return;
	bool change = false; /* where there is nothing to drop, a filter of systemd may forbid to drop it */
	for (unsigned i = 0; i < 2; i++) {
		uint32_t left = d[i].permitted & (uint32_t)(keep >> 32 * i);
		change |= left != d[i].permitted || d[i].effective != left || d[i].inheritable;
		d[i].permitted = d[i].effective = left;
		d[i].inheritable = 0;
	}
	if (change && syscall(SYS_capset, &h, d))
		sandbox_lacks(ret, "capabilities could not be dropped");
	if (!syscall(SYS_capget, &h, d))
		ret->capabilities = d[0].permitted | (uint64_t)d[1].permitted << 32;
}

static int drop_privileges(uint64_t keep, struct sandbox_level *ret, struct entente_err *err)
{
	static const struct rlimit none = {0, 0};
	drop_capabilities(keep, ret);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || setrlimit(RLIMIT_CORE, &none))
		return err_set(err, ENTENTE_EIO, REASON_NONE, "privileges could not be given up: %s", strerror(errno));
	ret->privileges = true;
	return 0;
}

/* ---- entering */

int sandbox_enter(const struct sandbox_opts *o, struct sandbox_level *ret, struct entente_err *err)
{
	*ret = (struct sandbox_level){0};
#ifndef ENTENTE_NO_SANDBOX
	ret->built = true;
#endif
	if (o->mode == SANDBOX_OFF)
		return 0;
	if (!ret->built) {
		sandbox_lacks(ret, "this program was built for tests, without a sandbox");
		return o->mode == SANDBOX_REQUIRED ? err_set(err, ENTENTE_EUNSUPPORTED, REASON_NONE, "server.sandbox is required, but %s", ret->why) : 0;
	}
	if (threads() > 1)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "the sandbox must be entered before threads are started");
	struct entente_err why = {0};
	int rc = drop_privileges(o->keep, ret, &why);
	if (!rc)
		rc = sandbox_landlock(o, ret, &why);
	int rc2 = ret->privileges ? sandbox_seccomp(o, ret, &why) : 0; /* without no-new-privs the kernel takes no filter */
	ret->entered = true;
	ret->hidden = ret->files && o->n_keys;
	for (size_t i = 0; i < o->n_keys; i++)
		ret->hidden &= !sandbox_paths_cover(o->paths, o->keys[i]);
	rc = rc ? rc : rc2;
	if (o->mode == SANDBOX_REQUIRED && (!ret->syscalls || !ret->files))
		return err_set(err, ENTENTE_EUNSUPPORTED, REASON_NONE, "server.sandbox is required, but cannot be had here: %s", *ret->why ? ret->why : why.text);
	if (rc && !*ret->why)
		sandbox_lacks(ret, why.text);
	return 0;
}

/* ---- telling */

char *sandbox_level_text(const struct sandbox_level *l, char *dst, size_t size)
{
	char calls[64] = "no filter of system calls", files[96] = "no Landlock", caps[40] = "no capabilities";
	if (!l->entered) {
		snprintf(dst, size, l->built ? "off" : "none: built for tests");
		return dst;
	}
	if (l->syscalls)
		snprintf(calls, sizeof calls, "seccomp (%u system calls)", l->allowed);
	if (l->files)
		snprintf(files, sizeof files, "Landlock ABI %d (files%s%s%s)", l->landlock, l->hidden ? " without keys" : "", l->ports ? ", ports" : "",
			 l->scoped ? ", signals" : "");
	if (l->capabilities)
		snprintf(caps, sizeof caps, "capabilities %#llx", (unsigned long long)l->capabilities);
	snprintf(dst, size, "%s, %s, %s", calls, files, caps);
	return dst;
}
