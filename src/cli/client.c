/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "admin/admin.h"
#include "admin/command.h"
#include "base/clock.h"
#include "cli/screen.h"

enum { CHUNK = 65536 };

static int unreachable(const char *path, struct buf *why, int error)
{
	buf_printf(why, "cannot reach the daemon at %s: %s", path, strerror(error));
	if (error == EACCES || error == EPERM) {
		buf_puts(why, "\nThe socket is for root and the members of its group: use sudo, or have yourself added to the group.");
		return ADMIN_EXIT_PERMISSION;
	}
	buf_puts(why, "\nIs entented running? systemctl status entented\n"
		      "If it listens elsewhere (server.control-socket), give --socket PATH or set ENTENTE_SOCKET.");
	return ADMIN_EXIT_UNREACHABLE;
}

static int dial(const char *path, struct buf *why, int *ret_exit)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;
	if (!slice_cstr(slice_str(path), addr.sun_path, sizeof addr.sun_path)) {
		buf_printf(why, "the path of the control socket is longer than %zu octets", sizeof addr.sun_path - 1);
		*ret_exit = ADMIN_EXIT_USAGE;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
		return fd;
	*ret_exit = unreachable(path, why, errno);
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool send_all(int fd, struct slice s)
{
	while (s.len) {
		ssize_t n = send(fd, s.p, s.len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		s = slice_skip(s, (size_t)n);
	}
	return true;
}

/* Until a whole line is there; false with errno. */
static bool receive_line(int fd, struct buf *in, uint64_t wait_ms)
{
	uint64_t end = clock_ms() + wait_ms;
	while (slice_find_chr(buf_slice(in), '\n') < 0) {
		struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
		nfds_t n_fds = screen_is_open() ? 2 : 1;
		uint64_t now = clock_ms();
		int ready = !wait_ms ? poll(p, n_fds, -1) : now < end ? poll(p, n_fds, (int)(end - now)) : 0;
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready > 0 && n_fds == 2 && p[1].revents && ((p[1].revents & (POLLHUP | POLLERR)) || screen_key())) {
			errno = ECANCELED;
			return false;
		}
		if (ready > 0 && !p[0].revents)
			continue;
		if (ready <= 0) {
			errno = ready ? errno : ETIMEDOUT;
			return false;
		}
		char *room = buf_reserve(in, CHUNK);
		if (!room) {
			errno = EMSGSIZE;
			return false;
		}
		ssize_t n = read(fd, room, CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n ? errno : ECONNRESET;
			return false;
		}
		buf_commit(in, (size_t)n);
	}
	return true;
}

/* The response, after all lines before it. NULL with errno (0: it was no JSON). */
static json_t *receive(int fd, struct buf *in, uint64_t wait_ms, void (*on_line)(void *, json_t *), void *arg)
{
	while (receive_line(fd, in, wait_ms)) {
		size_t len = (size_t)slice_find_chr(buf_slice(in), '\n') + 1;
		json_t *line = json_loadb(buf_slice(in).p, len, 0, NULL);
		buf_consume(in, len);
		errno = 0;
		if (!json_is_object(line)) {
			json_decref(line);
			return NULL;
		}
		if (json_object_get(line, "exit"))
			return line;
		if (on_line)
			on_line(arg, line);
		json_decref(line);
	}
	return NULL;
}

json_t *client_ask(const char *path, json_t *request, uint64_t wait_ms, void (*on_line)(void *arg, json_t *line), void *arg,
		   struct buf *why, int *ret_exit)
{
	json_t *response = NULL;
	struct buf in;
	char *line = json_dumps(request, JSON_COMPACT);
	int fd = dial(path, why, ret_exit);
	buf_init(&in, ADMIN_RESPONSE_MAX + CHUNK);
	if (fd < 0)
		goto out;
	if (line && send_all(fd, slice_str(line)) && send_all(fd, S("\n")))
		response = receive(fd, &in, wait_ms, on_line, arg);
	if (!response && errno == ECANCELED) {
		*ret_exit = ADMIN_EXIT_OK;
	} else if (!response) {
		if (errno)
			buf_printf(why, "the daemon at %s did not answer: %s\nThe log may tell why: journalctl -u entented", path, strerror(errno));
		else
			buf_printf(why, "what answers at %s is not entented, or of another version", path);
		*ret_exit = ADMIN_EXIT_UNAVAILABLE;
	}
out:
	if (fd >= 0)
		close(fd);
	free(line);
	buf_free(&in);
	return response;
}
