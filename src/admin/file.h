/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: whole files, read and replaced. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

/* Appends; ENTENTE_EIO, ENTENTE_ELIMIT. */
int file_read(const char *path, struct buf *ret, size_t max, struct entente_err *err);
/* All or nothing: a new file beside it, with its mode and owner (0600 when there is none), synced, takes its place. ENTENTE_EIO. */
int file_write(const char *path, struct slice text, struct entente_err *err);
/* Whether file_write is likely to be allowed. */
bool file_replaceable(const char *path, struct entente_err *err);
