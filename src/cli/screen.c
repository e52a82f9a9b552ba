/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/screen.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static volatile sig_atomic_t open_now;

static void restore(void)
{
	static const char text[] = "\033[?25h\033[?1049l"; /* the cursor, and the other screen */
	if (!open_now)
		return;
	open_now = 0;
	if (write(STDOUT_FILENO, text, sizeof text - 1) < 0)
		return;
	tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static void on_signal(int signo)
{
	restore();
	signal(signo, SIG_DFL);
	raise(signo);
}

bool screen_open(void)
{
	const char *term = getenv("TERM");
	struct termios raw;
	if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO) || !term || slice_eq(slice_str(term), S("dumb")) || tcgetattr(STDIN_FILENO, &before))
		return false;
	raw = before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw))
		return false;
	open_now = 1;
	signal(SIGTERM, on_signal);
	signal(SIGHUP, on_signal);
	fputs("\033[?1049h\033[?25l", stdout);
	return true;
}

void screen_draw(struct slice text)
{
	struct winsize w;
	unsigned rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 1 ? w.ws_row - 1u : 23;
	fputs("\033[H", stdout);
	while (text.len && rows--) {
		struct slice line = slice_split(&text, '\n');
		fwrite(line.p ? line.p : "", 1, line.len, stdout);
		fputs("\033[K\n", stdout);
	}
	fputs("\033[J", stdout);
	fflush(stdout);
}

bool screen_key(void)
{
	enum { CONTROL_C = 3, ESCAPE = 27 };
	char keys[64];
	ssize_t n = open_now ? read(STDIN_FILENO, keys, sizeof keys) : 0;
	for (ssize_t i = 0; i < n; i++)
		if (keys[i] == 'q' || keys[i] == 'Q' || keys[i] == CONTROL_C || (keys[i] == ESCAPE && n == 1))
			return true;
	return false;
}

bool screen_is_open(void)
{
	return open_now;
}

void screen_close(void)
{
	fflush(stdout);
	restore();
}
