// SPDX-License-Identifier: BSD-3-Clause
#include <peers/peers.hpp>
#include <peers/plugin.hpp>

#include <algorithm>
#include <dlfcn.h>
#include <exception>
#include <filesystem>
#include <map>

namespace bench::peers {
namespace {

struct plugin {
    plugin_entry* entry = nullptr;
    std::string error;
};

// The first line of the loader's last error, fit for a quoted CSV field.
std::string loader_error() {
    std::string text = dlerror();
    std::replace(text.begin(), text.end(), '"', '\'');
    return text.substr(0, text.find('\n'));
}

plugin open_plugin(const std::filesystem::path& file) {
    if (!std::filesystem::exists(file)) {
        return {};
    }
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    void* entry = library ? dlsym(library, TARN_BENCH_PLUGIN_ENTRY) : nullptr;
    return entry ? plugin{reinterpret_cast<plugin_entry*>(entry), ""} : plugin{nullptr, loader_error()};
}

} // namespace

method_list load_peer(const problem& of, const char* file, const char* name, const char* source) {
    static std::map<std::string, plugin> opened;
    auto found = opened.find(file);
    if (found == opened.end()) {
        const std::string library = std::string("peer_") + file + ".so";
        found = opened.emplace(file, open_plugin(std::filesystem::path(TARN_BENCH_PLUGIN_FOLDER) / library)).first;
    }
    method absent;
    absent.name = name;
    absent.kind = role::peer;
    const plugin& peer = found->second;
    if (!peer.entry) {
        absent.missing = peer.error.empty() ? std::string("not there (") + source + ")" : peer.error;
        return {absent};
    }
    try {
        method_list methods;
        peer.entry(of, methods);
        return methods;
    } catch (const std::exception& failure) {
        absent.missing = failure.what();
        return {absent};
    }
}

} // namespace bench::peers
