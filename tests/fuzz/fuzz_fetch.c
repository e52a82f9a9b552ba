/* SPDX-License-Identifier: Apache-2.0 */
/* What a web server, or whoever is in its place, answers to the request for a revocation list. No network: connect() is ours, and leads to a pair of sockets. The
 * first octet: how the answer is cut, whether addresses inside may be asked, where it begins; 0xff 0xff separates the answers of one connection and the next. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "fuzz.h"
#include "net/fetch.h"

enum { BODY_MAX = 3000, TURNS = 4000 };

static struct worker self;
static struct slice answers;  /* of the connections to come */
static struct slice sending;  /* of the present one */
static int server = -1;       /* its other end */
static bool private_ok, over;
static unsigned connections;

static void hang_up(void)
{
	if (server >= 0)
		close(server);
	server = -1;
}

static struct slice next_answer(void)
{
	ptrdiff_t end = slice_find(answers, S("\xff\xff"));
	struct slice ret = end < 0 ? answers : slice_first(answers, (size_t)end);
	answers = end < 0 ? SLICE_NONE : slice_skip(answers, (size_t)end + 2);
	return ret;
}

/* In place of the C library's, for libevent too. */
int connect(int fd, const struct sockaddr *to, socklen_t len)
{
	struct addr a = {0};
	int pair[2];
	MUST(len <= sizeof a.v6);
	memcpy(&a, to, len);
	MUST(private_ok || !addr_is_private(&a));
	connections++;
	hang_up();
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	MUST(dup2(pair[0], fd) == fd);
	close(pair[0]);
	server = pair[1];
	sending = next_answer();
	return 0;
}

static void on_done(void *arg, const struct fetch_result *r)
{
	const struct fetch_opts *o = arg;
	MUST(!over);
	over = true;
	MUST(!r->body.len != !r->why.len);
	MUST(r->body.len <= o->octets_max);
}

static void serve(size_t piece)
{
	char asked[4096];
	if (server < 0)
		return;
	while (recv(server, asked, sizeof asked, 0) > 0)
		;
	if (sending.len) {
		struct slice now = slice_first(sending, piece);
		ssize_t n = send(server, now.p, now.len, MSG_NOSIGNAL);
		sending = n < 0 && errno != EAGAIN ? SLICE_NONE : slice_skip(sending, n > 0 ? (size_t)n : 0);
	} else {
		shutdown(server, SHUT_WR);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	MUST(loop_new(&self.loop, NULL, NULL) == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = {1 << 16, 1, 7, 100};
	struct fetch_opts o = {.octets_max = BODY_MAX, .timeout_ms = 60000};
	if (size < 2)
		return 0;
	o.private_ok = private_ok = *data & 4;
	over = false;
	connections = 0;
	answers = slice_of((const char *)data + 1, size - 1);
	struct slice url = *data & 8 ? S("http://10.0.0.1/a.crl") : *data & 16 ? S("http://[2001:db8:1::7]:8080/?a") : S("http://198.51.100.7/a.crl");
	if (*data & 32) { /* the first answer is where to begin: certificates name it */
		url = next_answer();
		fetch_url_ok(url);
	}
	struct fetch *f = fetch_start(&self, NULL, url, &o, on_done, &o);
	if (*data & 64) { /* nobody wants to know any more */
		for (int i = 0; i < 3 && !over; i++) {
			loop_once(self.loop, 0);
			serve(pieces[*data & 3]);
		}
		if (!over)
			fetch_cancel(f);
		over = true;
	}
	for (unsigned i = 0; !over; i++) {
		MUST(i < TURNS + 2 * size);
		loop_once(self.loop, 0);
		serve(pieces[*data & 3]);
	}
	MUST(connections <= (FETCH_REDIRECTS + 1) * FETCH_ADDRESSES);
	hang_up();
	loop_once(self.loop, 0);
	return 0;
}
