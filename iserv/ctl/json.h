// As much of writing JSON as iservctl needs: values are strings of JSON text.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace splicehost::ctl {

// A string. Bytes that are not UTF-8 become U+FFFD.
std::string jsonString(std::string_view text);
std::string jsonBool(bool value);
std::string jsonArray(const std::vector<std::string>& values);
// Members in the given order; each name's value is JSON.
std::string jsonObject(const std::vector<std::pair<std::string_view, std::string>>& members);

}  // namespace splicehost::ctl
