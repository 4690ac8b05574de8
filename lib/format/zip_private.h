/* lib/format/zip_private.h: numbers of the zip format that reader and writer share. Source: APPNOTE.TXT 6.3, sections 4.3 and
 * 4.5. */
#ifndef TT_FORMAT_ZIP_PRIVATE_H
#define TT_FORMAT_ZIP_PRIVATE_H

#include <stdint.h>

enum {
    ZIP_LOCAL_NBYTES = 30,
    ZIP_CENTRAL_NBYTES = 46,
    ZIP_DESCRIPTOR_NBYTES = 16, /* of a record below 4 GiB */
    ZIP_END64_NBYTES = 56,
    ZIP_LOCATOR_NBYTES = 20,
    ZIP_END_NBYTES = 22,
    ZIP_COMMENT_MAX = 65535,
    ZIP64_TAG = 1,
    ZIP_FLAG_ENCRYPTED = 1,
    ZIP_FLAG_DESCRIPTOR = 1 << 3,
    ZIP_FLAG_UTF8 = 1 << 11,
    FB_HEAD_NBYTES = 4,
    ZIP_ALIGN = 64,
};
#define ZIP_U32 UINT32_MAX /* a 32-bit field that says: look into the zip64 field */

#endif
