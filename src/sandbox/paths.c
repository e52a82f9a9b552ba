/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/path.h"
#include "sandbox/sandbox_int.h"

enum { LINKS_MAX = 16 };

struct sandbox_paths *sandbox_paths_new(void)
{
	return MEM_NEW(struct sandbox_paths);
}

struct sandbox_paths *sandbox_paths_free(struct sandbox_paths *p)
{
	if (!p)
		return NULL;
	for (size_t i = 0; i < p->n; i++)
		mem_free(p->list[i].path);
	return mem_free(p);
}

static void add(struct sandbox_paths *p, const char *path, unsigned access)
{
	for (size_t i = 0; i < p->n; i++)
		if (!strcmp(p->list[i].path, path)) {
			p->list[i].access |= access;
			return;
		}
	if (p->n < SANDBOX_PATHS_MAX)
		p->list[p->n++] = (struct sandbox_path){mem_strndup(path, strlen(path)), access};
}

/* The folder that a path is in: "/" of "/x", "." of "x". */
static void folder_of(const char *path, char ret[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	snprintf(ret, PATH_MAX, "%.*s", slash ? slash == path ? 1 : (int)(slash - path) : 1, slash ? path : ".");
}

/* Nobody means all of that. */
static bool too_much(const char *folder)
{
	char real[PATH_MAX];
	return !realpath(folder, real) || path_is_wide(real);
}

static void add_file(struct sandbox_paths *p, const char *path)
{
	char folder[PATH_MAX];
	folder_of(path, folder);
	add(p, too_much(folder) ? path : folder, SANDBOX_READ);
}

void sandbox_paths_file(struct sandbox_paths *p, const char *path)
{
	char at[PATH_MAX], to[PATH_MAX], folder[PATH_MAX], next[2 * PATH_MAX];
	if (!*path || snprintf(at, sizeof at, "%s", path) >= (int)sizeof at)
		return;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		add_file(p, at);
		ssize_t n = readlink(at, to, sizeof to - 1);
		if (n <= 0)
			break;
		to[n] = 0;
		folder_of(at, folder);
		if (snprintf(next, sizeof next, *to == '/' ? "%.0s%s" : "%s/%s", folder, to) >= PATH_MAX)
			break;
		memcpy(at, next, PATH_MAX);
	}
}

void sandbox_paths_read(struct sandbox_paths *p, const char *path)
{
	if (*path)
		add(p, path, SANDBOX_READ);
}

void sandbox_paths_write(struct sandbox_paths *p, const char *directory)
{
	if (*directory)
		add(p, directory, SANDBOX_READ | SANDBOX_WRITE);
}

void sandbox_paths_socket(struct sandbox_paths *p, const char *path)
{
	char folder[PATH_MAX];
	if (!*path)
		return;
	folder_of(path, folder);
	add(p, folder, SANDBOX_SOCKET);
}

void sandbox_paths_system(struct sandbox_paths *p)
{
	static const char *const read[] = {
		"/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols", "/etc/passwd",
		"/etc/group", "/etc/localtime", "/etc/ld.so.cache", "/etc/ssl/openssl.cnf", "/etc/ssl/certs", "/etc/pki/tls/openssl.cnf", "/etc/pki/tls/certs",
		"/etc/pki/ca-trust/extracted", "/etc/crypto-policies", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/usr/share/dns",
		"/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/run/systemd/resolve", "/proc", "/sys/devices/system/cpu", "/dev/urandom",
	};
	for (size_t i = 0; i < sizeof read / sizeof *read; i++)
		add(p, read[i], SANDBOX_READ);
	add(p, "/dev/null", SANDBOX_READ | SANDBOX_DEVICE);
}

void sandbox_paths_port(struct sandbox_paths *p, uint16_t port)
{
	p->ports_given = true;
	if (p->n_ports < SANDBOX_PORTS_MAX)
		p->ports[p->n_ports++] = port;
}

/* Without links; of a file that is not there, its folder's and its name. */
static bool real_name(const char *path, char ret[PATH_MAX])
{
	char folder[PATH_MAX], real[PATH_MAX];
	const char *slash = strrchr(path, '/');
	if (realpath(path, ret))
		return true;
	folder_of(path, folder);
	return realpath(folder, real) && snprintf(ret, PATH_MAX, "%s/%s", strcmp(real, "/") ? real : "", slash ? slash + 1 : path) < PATH_MAX;
}

bool sandbox_paths_cover(const struct sandbox_paths *p, const char *path)
{
	char real[PATH_MAX], top[PATH_MAX];
	if (!*path || !real_name(path, real))
		return true; /* nothing there: its own complaint is the better one */
	for (size_t i = 0; i < p->n; i++) {
		if (!(p->list[i].access & SANDBOX_READ) || !realpath(p->list[i].path, top))
			continue;
		size_t n = strlen(top);
		if (!strncmp(real, top, n) && (!real[n] || real[n] == '/' || n == 1))
			return true;
	}
	return false;
}
