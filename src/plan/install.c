/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/install.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/path.h"

enum { MODE = 0640 };

static int fail(struct entente_err *err, const char *verb, const char *path)
{
	int e = errno;
	return err_set(err, ENTENTE_EIO, REASON_NONE, "%.150s cannot be %s: %s%s", path, verb, strerror(e), e == EACCES || e == EPERM ? " (run it as root)" : "");
}

/* The group that the daemon runs in. From the local file: name services may be far away. */
static gid_t group_of_daemon(void)
{
	char mem[4096];
	struct group g, *found = NULL;
	gid_t ret = (gid_t)-1;
	FILE *f = geteuid() == 0 ? fopen("/etc/group", "re") : NULL;
	while (f && ret == (gid_t)-1 && fgetgrent_r(f, &g, mem, sizeof mem, &found) == 0)
		if (!strcmp(g.gr_name, "entente"))
			ret = g.gr_gid;
	if (f)
		fclose(f);
	return ret;
}

/* As the file that it replaces, if there is one. */
static void give_away(int fd, const char *place)
{
	struct stat st;
	if (lstat(place, &st) == 0 && S_ISREG(st.st_mode)) {
		if (fchown(fd, st.st_uid, st.st_gid) == 0 || fchown(fd, (uid_t)-1, st.st_gid) == 0)
			fchmod(fd, st.st_mode & 0640);
	} else {
		gid_t g = group_of_daemon();
		if (g != (gid_t)-1 && fchown(fd, (uid_t)-1, g) != 0)
			fchmod(fd, 0600);
	}
}

static int write_all(int fd, struct slice s)
{
	while (s.len) {
		ssize_t n = write(fd, s.p, s.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		s = slice_skip(s, (size_t)n);
	}
	return fsync(fd);
}

/* A file beside `place`, in `ret`. Created with 0600, so nobody reads a key before it is given away. */
static int beside(char ret[PLAN_PATH_MAX], const char *place, struct slice octets, struct entente_err *err)
{
	if (snprintf(ret, PLAN_PATH_MAX, "%s.new-XXXXXX", place) >= PLAN_PATH_MAX) {
		errno = ENAMETOOLONG;
		*ret = 0;
		return fail(err, "written", place);
	}
	int fd = mkostemp(ret, O_CLOEXEC);
	if (fd < 0) {
		*ret = 0;
		return fail(err, "written", place);
	}
	fchmod(fd, MODE);
	give_away(fd, place);
	int rc = write_all(fd, octets);
	if (close(fd) || rc) {
		rc = fail(err, "written", place);
		unlink(ret);
		*ret = 0;
		return rc;
	}
	return 0;
}

static void sync_directory(const char *place)
{
	char dir[PLAN_PATH_MAX];
	const char *slash = strrchr(place, '/');
	if (slash == place)
		snprintf(dir, sizeof dir, "/");
	else
		snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - place) : 1, slash ? place : ".");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

static bool previous(char ret[PLAN_PATH_MAX], const char *place)
{
	return snprintf(ret, PLAN_PATH_MAX, "%s.previous", place) < PLAN_PATH_MAX;
}

/* Keeps what stands there, under its second name. */
static int keep(const char *place, struct entente_err *err)
{
	char old[PLAN_PATH_MAX];
	struct stat st;
	if ((lstat(place, &st) && errno == ENOENT) || !previous(old, place))
		return 0;
	unlink(old);
	if (link(place, old) == 0)
		return 0;
	struct buf b; /* a file system without hard links */
	buf_init(&b, 1 << 20);
	int rc = plan_file_read(&b, place, 1 << 20, err);
	char tmp[PLAN_PATH_MAX];
	if (!rc && !(rc = beside(tmp, old, buf_slice(&b), err)) && rename(tmp, old)) {
		rc = fail(err, "written", old);
		unlink(tmp);
	}
	buf_wipe(&b);
	return rc;
}

static int put(char *new, const char *place, struct entente_err *err)
{
	int rc = keep(place, err);
	if (!rc && rename(new, place))
		rc = fail(err, "replaced", place);
	if (rc)
		unlink(new);
	else
		sync_directory(place);
	*new = 0;
	return rc;
}

int plan_file_write(const char *path, struct slice octets, bool replace, struct entente_err *err)
{
	char new[PLAN_PATH_MAX];
	int rc = beside(new, path, octets, err);
	if (rc)
		return rc;
	if (replace)
		return put(new, path, err);
	/* link, not rename: it never replaces, not even what came a moment ago */
	if (link(new, path)) {
		rc = errno == EEXIST ? err_set(err, ENTENTE_EEXIST, REASON_NONE, "%.200s is there already", path) : fail(err, "written", path);
		unlink(new);
		return rc;
	}
	unlink(new);
	sync_directory(path);
	return 0;
}

bool plan_key_folder(char ret[PLAN_PATH_MAX], const char *config_path)
{
	char folder[PLAN_PATH_MAX], real[PATH_MAX];
	const char *slash = strrchr(config_path, '/'), *name;
	if (snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - config_path) : 1, slash ? config_path : ".") >= (int)sizeof folder)
		return false;
	name = strrchr(folder, '/') ? strrchr(folder, '/') + 1 : folder;
	/* "x/.", "x/..", "x/" and what counts from the working directory: -keys behind them would be a name inside the folder */
	if (*folder && (*folder != '/' || !*name || !strcmp(name, ".") || !strcmp(name, "..")) && realpath(folder, real) &&
	    !slice_cstr(slice_str(strcmp(real, "/") ? real : ""), folder, sizeof folder))
		return false;
	return snprintf(ret, PLAN_PATH_MAX, path_is_wide(folder) ? "%s/entente-keys" : "%s-keys", folder) < PLAN_PATH_MAX;
}

static int refuse_link(const char *place, struct entente_err *err)
{
	struct stat st;
	if (lstat(place, &st) == 0 && S_ISLNK(st.st_mode))
		return err_set(err, ENTENTE_EREFUSED, REASON_NONE,
			       "%.120s is a symbolic link, so another program cares for what it leads to: let that one renew it, or remove the link", place);
	return 0;
}

int plan_install_prepare(struct plan_install *i, const char *chain_path, const char *key_path, struct slice chain, struct slice key, struct entente_err *err)
{
	int rc;
	*i = (struct plan_install){0};
	if (!slice_cstr(slice_str(chain_path), i->chain, sizeof i->chain) || !slice_cstr(slice_str(key_path), i->key, sizeof i->key))
		return err_set(err, ENTENTE_EIO, REASON_NONE, "a path is too long");
	if ((rc = refuse_link(chain_path, err)) || (rc = refuse_link(key_path, err)))
		return rc;
	if (!(rc = beside(i->new_key, key_path, key, err)))
		rc = beside(i->new_chain, chain_path, chain, err);
	if (rc)
		plan_install_abort(i);
	return rc;
}

int plan_install_commit(struct plan_install *i, struct entente_err *err)
{
	char old[PLAN_PATH_MAX];
	bool had = access(i->key, F_OK) == 0;
	int rc = put(i->new_key, i->key, err);
	if (!rc && (rc = put(i->new_chain, i->chain, err))) { /* the old pair again */
		if (!had)
			unlink(i->key);
		else if (previous(old, i->key))
			rename(old, i->key);
	}
	plan_install_abort(i);
	return rc;
}

void plan_install_abort(struct plan_install *i)
{
	if (*i->new_chain)
		unlink(i->new_chain);
	if (*i->new_key)
		unlink(i->new_key);
	*i->new_chain = *i->new_key = 0;
}

int plan_file_read(struct buf *ret, const char *path, size_t max, struct entente_err *err)
{
	bool in = !strcmp(path, "-");
	int fd = in ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC), rc = 0;
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "%.200s: no such file", path);
	if (fd < 0)
		return fail(err, "read", path);
	for (;;) {
		char *room = buf_reserve(ret, 16384);
		ssize_t n = room ? read(fd, room, 16384) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = fail(err, "read", path);
		else if (!room || ret->len + (size_t)n > max)
			rc = err_set(err, ENTENTE_ELIMIT, REASON_NONE, "%.200s is larger than %zu octets", path, max);
		else if (n)
			buf_commit(ret, (size_t)n);
		if (rc || n <= 0)
			break;
	}
	if (!in)
		close(fd);
	return rc;
}
