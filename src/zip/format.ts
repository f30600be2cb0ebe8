/**
 * The numbers of the zip format, for reading and writing.
 * https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 *
 * @module
 */

/** Begins every entry; the name, the extra fields and the data follow. */
export const LOCAL_HEADER = 0x04034b50;
/** Begins every entry of the directory; the name, the extra fields and a comment follow. */
export const CENTRAL_HEADER = 0x02014b50;
/** Begins what follows the data of an entry whose CRC was not known before them. */
export const DATA_DESCRIPTOR = 0x08074b50;
/** Begins the last record, which says where the directory is. */
export const END = 0x06054b50;
/** Begins the record that says where the zip64 form of the last record is. */
export const ZIP64_LOCATOR = 0x07064b50;
/** Begins the zip64 form of the last record. */
export const ZIP64_END = 0x06064b50;

/** The records' lengths in bytes, without names, extra fields and comments. */
export const LENGTHS = {
  localHeader: 30,
  centralHeader: 46,
  end: 22,
  zip64Locator: 20,
  zip64End: 56,
} as const;

/** The extra field that holds 64-bit sizes and places. */
export const ZIP64_EXTRA = 1;
/** A 16-bit number that is to be found in the zip64 record. */
export const FULL_16 = 0xffff;
/** A 32-bit number that is to be found in a zip64 record or field. */
export const FULL_32 = 0xffffffff;

/** Compressions: none, and the common one. */
export const METHODS = { stored: 0, deflated: 8 } as const;

/** Flags: encrypted; sizes and CRC follow the data; the name is UTF-8. */
export const FLAGS = { encrypted: 1, descriptorFollows: 8, utf8: 0x800 } as const;

/** Files are copied, and their checksums computed, in pieces that stay in the processor's cache. */
export const PIECE_BYTES = 1 << 20;
