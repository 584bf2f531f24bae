// What a user should be told once, and not by each compile: why there is no broker. A broker would remember that. Where
// there is none, a file beside its socket's place does, for as long as an unused broker would live.
#pragma once

#include <string>

namespace splicehost {

// Whether this is to be told: something else was told last in this directory, or for another broker, or nothing was for
// 15 minutes. It counts as told from here on. Always true if nothing can be remembered there.
bool isNews(const std::string& socketPath, const std::string& notice);

// There is a broker now: whatever is the matter later is news.
void forgetNotices(const std::string& socketPath);

}  // namespace splicehost
