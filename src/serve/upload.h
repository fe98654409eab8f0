/* upload.h - bodies that go through a job as they arrive. */
#ifndef SERVE_UPLOAD_H
#define SERVE_UPLOAD_H

#include "serve_internal.h"

/* Fails all uploads that are under way: nothing of them is published. The reaper tells when they are gone. */
void serve_uploads_give_up(struct bm_serve *s);

#endif
