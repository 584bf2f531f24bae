// Which bytes a file name of GHC's stands for.
//
// GHC decodes the names of files by the character set of its locale (GHC.IO.Encoding, getFileSystemEncoding), and sends
// the characters. Everything behind the front end takes file names to be in UTF-8 (ghc::fileName). With another
// character set the front end, whose locale is GHC's, writes them anew: as GHC would have decoded them in a locale of
// UTF-8. The other way, what the system says of a file becomes characters.
//
// The C library of a static program can tell the locale's character set, and cannot convert from it (iconv loads
// modules). So only these are known. With any other a name that is not in ASCII is an error.
#pragma once

#include <string>
#include <string_view>

#include "protocol/result.h"

namespace splicehost {

enum class FileCharset {
  kUtf8,    // and ASCII: bytes above it are U+DC80 to U+DCFF in GHC's strings, as are those that are not UTF-8
  kLatin1,  // ISO-8859-1
  kLatin9,  // ISO-8859-15, which has the euro sign
};

// That of the environment's locale (LC_ALL, LC_CTYPE, LANG). A locale that is not installed is "C", as for GHC.
// Fails with the name of another character set.
Result<FileCharset> localeCharset();

// A file name as GHC would have it in a locale of UTF-8. Fails if the character set lacks a character.
Result<std::string> fileNameInUtf8(FileCharset charset, std::string_view haskellString);

// Bytes of the system's, as characters in UTF-8.
std::string charactersOf(FileCharset charset, std::string_view bytes);

}  // namespace splicehost
