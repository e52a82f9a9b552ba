/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/password.h"

#include <errno.h>
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>
#include "admin/password.h"

enum { ROOM = ADMIN_PASSWORD_MAX + 2 };

/* The first line without its end. */
static bool line_read(int fd, char ret[ROOM], struct buf *why)
{
	size_t n = 0;
	ssize_t got;
	while (n < ROOM - 1 && (got = read(fd, ret + n, 1)) == 1 && ret[n] != '\n')
		n++;
	if (n == ROOM - 1) {
		buf_printf(why, "the password is longer than %d octets", ADMIN_PASSWORD_MAX);
		return false;
	}
	if (n && ret[n - 1] == '\r')
		n--;
	ret[n] = 0;
	return true;
}

static bool ask(int tty, const char *prompt, char ret[ROOM], struct buf *why)
{
	struct termios before, quiet;
	bool echo = tcgetattr(tty, &before) == 0;
	if (echo) {
		quiet = before;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(tty, TCSAFLUSH, &quiet);
	}
	bool ok = write(tty, prompt, strlen(prompt)) >= 0 && line_read(tty, ret, why);
	if (echo)
		tcsetattr(tty, TCSAFLUSH, &before);
	return write(tty, "\n", 1) == 1 && ok;
}

static bool from_terminal(char ret[ROOM], struct buf *why)
{
	char again[ROOM];
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (tty < 0) {
		buf_puts(why, "there is no terminal to ask for the password: give --password-file FILE, or - for standard input");
		return false;
	}
	bool ok = ask(tty, "Password: ", ret, why) && ask(tty, "Once more: ", again, why);
	if (ok && !slice_eq(slice_str(ret), slice_str(again))) {
		buf_puts(why, "these were two different passwords");
		ok = false;
	}
	explicit_bzero(again, sizeof again);
	close(tty);
	return ok;
}

static bool from_file(const char *path, char ret[ROOM], struct buf *why)
{
	bool standard = slice_eq(slice_str(path), S("-"));
	int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		buf_printf(why, "--password-file: %s: %s", path, strerror(errno));
		return false;
	}
	bool ok = line_read(fd, ret, why);
	if (!standard)
		close(fd);
	return ok;
}

int password_take(struct admin_line *l, struct buf *why)
{
	char password[ROOM] = "", hash[ADMIN_PASSWORD_HASH];
	int exit = ADMIN_EXIT_OK;
	for (size_t i = 0; !exit && i < l->command->n_args; i++) {
		const struct admin_arg *a = &l->command->args[i];
		const char *name = json_string_value(json_object_get(l->args, "name"));
		if (a->type != ADMIN_PASSWORD)
			continue;
		if (!(l->password_file ? from_file(l->password_file, password, why) : from_terminal(password, why)))
			exit = ADMIN_EXIT_UNAVAILABLE;
		else if (!admin_password_check(slice_str(password), slice_str(name), why))
			exit = ADMIN_EXIT_USAGE;
		else if (admin_password_hash(hash, slice_str(password)))
			json_object_set_new(l->args, a->name, json_string(hash));
		else {
			buf_puts(why, "there is not enough memory to hash the password");
			exit = ADMIN_EXIT_UNAVAILABLE;
		}
	}
	explicit_bzero(password, sizeof password);
	return exit;
}
