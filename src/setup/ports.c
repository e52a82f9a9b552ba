/* SPDX-License-Identifier: Apache-2.0 */
/* Who has a port. */
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include "setup/machine.h"

/* An address as the tables of /proc/net have it: words of 32 bits as they lie in memory, in hex. */
static void address_in_hex(const char *address, char ret[33])
{
	uint32_t words[4] = {0};
	size_t n = inet_pton(AF_INET6, address, words) == 1 ? 4 : inet_pton(AF_INET, address, words) == 1 ? 1 : 0;
	*ret = 0;
	for (size_t i = 0; i < n; i++)
		snprintf(ret + 8 * i, 9, "%08X", words[i]);
}

/* One of them is every address, or they are the same. */
static bool overlap(const char *a, const char *b)
{
	bool all_a = a[strspn(a, "0")] == 0, all_b = b[strspn(b, "0")] == 0;
	return all_a || all_b || strcmp(a, b) == 0;
}

/* Inodes of the sockets that listen on a port, from a table of /proc/net. */
static size_t inodes_of(const char *table, const char *address, uint16_t port, bool udp, unsigned long long ret[], size_t max)
{
	enum { LISTENING = 0x0a };
	FILE *f = fopen(table, "re");
	char line[512], host[33], wanted[33];
	size_t n = 0;
	address_in_hex(address, wanted);
	while (f && n < max && fgets(line, sizeof line, f)) {
		unsigned local = 0, state = 0;
		unsigned long long inode = 0;
		if (sscanf(line, " %*d: %32[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %llu", host, &local, &state, &inode) == 4 && local == port &&
		    inode && overlap(host, wanted) && (udp || state == LISTENING))
			ret[n++] = inode;
	}
	if (f)
		fclose(f);
	return n;
}

static bool has_socket(int fds, const unsigned long long inodes[], size_t n)
{
	char target[64], wanted[64];
	DIR *d = fdopendir(fds);
	bool found = false;
	if (!d) {
		close(fds);
		return false;
	}
	for (const struct dirent *e; !found && (e = readdir(d));) {
		ssize_t len = readlinkat(dirfd(d), e->d_name, target, sizeof target - 1);
		for (size_t i = 0; len > 0 && i < n && !found; i++) {
			int w = snprintf(wanted, sizeof wanted, "socket:[%llu]", inodes[i]);
			found = w == (int)len && memcmp(target, wanted, (size_t)len) == 0;
		}
	}
	closedir(d);
	return found;
}

static void name_of(const char *pid, char *ret, size_t size)
{
	char path[64], comm[32] = "";
	snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
	FILE *f = fopen(path, "re");
	if (f && fgets(comm, sizeof comm, f))
		comm[strcspn(comm, "\n")] = 0;
	if (f)
		fclose(f);
	snprintf(ret, size, "%s (process %.20s)", *comm ? comm : "a program", pid);
}

static void find_holder(struct setup_port *p)
{
	static const char *const tables[2][2] = {{"/proc/net/tcp", "/proc/net/tcp6"}, {"/proc/net/udp", "/proc/net/udp6"}};
	unsigned long long inodes[32];
	size_t n = 0;
	for (size_t i = 0; i < 2; i++)
		n += inodes_of(tables[p->udp][i], p->address, p->port, p->udp, inodes + n, 32 - n);
	DIR *d = n ? opendir("/proc") : NULL;
	for (const struct dirent *e; d && !*p->holder && (e = readdir(d));) {
		char path[300];
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof path, "/proc/%s/fd", e->d_name);
		int fds = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fds >= 0 && has_socket(fds, inodes, n))
			name_of(e->d_name, p->holder, sizeof p->holder);
	}
	if (d)
		closedir(d);
}

void setup_port_look(struct setup_port *p)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(p->port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(p->port)};
	bool six = inet_pton(AF_INET6, p->address, &v6.sin6_addr) == 1;
	int one = 1;
	p->taken = false;
	p->holder[0] = 0;
	if (!six && inet_pton(AF_INET, p->address, &v4.sin_addr) != 1)
		return;
	int fd = socket(six ? AF_INET6 : AF_INET, (p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (!p->udp) /* connections that have just ended keep no listener away, as with the daemon */
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (six)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (bind(fd, six ? (const struct sockaddr *)&v6 : (const struct sockaddr *)&v4, six ? sizeof v6 : sizeof v4) < 0 || (!p->udp && listen(fd, 1) < 0))
		p->taken = errno == EADDRINUSE;
	close(fd);
	if (p->taken)
		find_holder(p);
}
