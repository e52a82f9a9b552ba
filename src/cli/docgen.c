/* SPDX-License-Identifier: Apache-2.0 */
/* entente-docgen PAGE: writes documentation that derives from the tables to standard output. Runs when the project is built. */
#include "admin/command.h"
#include "admin/role.h"
#include "check/check.h"

static const struct page {
	const char *name;
	void (*write)(struct buf *out);
} pages[] = {
	{"entente.1", admin_man_entente},
	{"entente.conf.5", admin_man_conf},
	{"entente-reasons.7", admin_man_reasons},
	{"reasons.md", admin_markdown_reasons},
	{"cmdlets.md", lync_markdown},
	{"roles.md", admin_markdown_roles},
	{"checks.md", check_markdown},
	{"metrics.md", admin_markdown_metrics},
	{"entente.bash", admin_completion_bash},
	{"_entente", admin_completion_zsh},
	{"entente.fish", admin_completion_fish},
};

int main(int argc, char *argv[])
{
	struct buf out;
	for (size_t i = 0; argc == 2 && i < sizeof pages / sizeof *pages; i++)
		if (slice_eq(slice_str(argv[1]), slice_str(pages[i].name))) {
			buf_init(&out, 1 << 24);
			pages[i].write(&out);
			bool ok = buf_ok(&out) && fwrite(buf_slice(&out).p, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
			buf_free(&out);
			return ok ? 0 : 73;
		}
	fputs("usage: entente-docgen PAGE\n", stderr);
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
		fprintf(stderr, "  %s\n", pages[i].name);
	return 2;
}
