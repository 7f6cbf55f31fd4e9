// SPDX-License-Identifier: BSD-3-Clause
#include <harness/machine.hpp>

#include <harness/method.hpp>

#include <filesystem>
#include <fstream>
#include <gnu/libc-version.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace bench {
namespace {

std::string first_line(const std::filesystem::path& file) {
    std::ifstream in(file);
    std::string text;
    std::getline(in, text);
    return text;
}

struct cache_level {
    int level = 0;
    std::string type;
    std::string size; // as the system writes it: "32768K"
};

std::vector<cache_level> read_caches() {
    std::vector<cache_level> caches;
    const std::filesystem::path base = "/sys/devices/system/cpu/cpu0/cache";
    for (int index = 0; std::filesystem::exists(base / ("index" + std::to_string(index))); ++index) {
        const std::filesystem::path folder = base / ("index" + std::to_string(index));
        caches.push_back(
            {std::stoi(first_line(folder / "level")), first_line(folder / "type"), first_line(folder / "size")});
    }
    return caches;
}

std::size_t parse_size(const std::string& text) {
    std::size_t used = 0;
    const std::size_t number = std::stoul(text, &used);
    const char unit = used < text.size() ? text[used] : ' ';
    return number << (unit == 'K' ? 10 : unit == 'M' ? 20 : unit == 'G' ? 30 : 0);
}

// What /proc/cpuinfo says about the first CPU.
std::string cpu_fact(const std::string& name) {
    std::ifstream in("/proc/cpuinfo");
    for (std::string line; std::getline(in, line);) {
        const std::size_t colon = line.find(':');
        if (colon != std::string::npos && line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1) == name) {
            return colon + 2 < line.size() ? line.substr(colon + 2) : "";
        }
    }
    return "unknown";
}

// "AMD EPYC 25/1 without AVX-512": guests often hide the rest of the name, and a hypervisor may take away AVX-512.
std::string machine_name() {
    const bool has_avx512 = (" " + cpu_fact("flags") + " ").find(" avx512f ") != std::string::npos;
    return cpu_fact("model name") + " " + cpu_fact("cpu family") + "/" + cpu_fact("model") +
           (has_avx512 ? " with AVX-512" : " without AVX-512");
}

std::string cache_summary() {
    std::string text;
    for (const cache_level& cache : read_caches()) {
        if (cache.type != "Instruction") {
            text += (text.empty() ? "L" : ", L") + std::to_string(cache.level) + " " + cache.size;
        }
    }
    return text.empty() ? "unknown" : text;
}

// Before any binding.
struct cores_at_start {
    cpu_set_t all;
    int core;

    cores_at_start() : all(), core(sched_getcpu()) { sched_getaffinity(0, sizeof all, &all); }
};
const cores_at_start& at_start() {
    static const cores_at_start start;
    return start;
}

} // namespace

int pin_to_one_core() {
    const cores_at_start& start = at_start();
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(start.core < 0 ? 0 : start.core), &set);
    return sched_setaffinity(0, sizeof set, &set) == 0 ? start.core : -1;
}

void release_cores() { sched_setaffinity(0, sizeof(cpu_set_t), &at_start().all); }

std::size_t last_level_cache_bytes() {
    std::size_t bytes = std::size_t{32} << 20; // where the system does not tell
    int level = 0;
    for (const cache_level& cache : read_caches()) {
        if (cache.level > level && cache.type != "Instruction") {
            level = cache.level;
            bytes = parse_size(cache.size);
        }
    }
    return bytes;
}

std::string compiler_version() {
#if defined(__clang__)
    return "clang " + dotted(__clang_major__, __clang_minor__, __clang_patchlevel__);
#else
    return "g++ " + dotted(__GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

int compiler_year() {
#if defined(__clang__)
    return __clang_major__ >= 14 && __clang_major__ <= 20 ? 2022 + (__clang_major__ - 14) / 2 : 0;
#else
    return __GNUC__ >= 12 && __GNUC__ <= 15 ? 2010 + __GNUC__ : 0;
#endif
}

machine_facts describe_machine() {
    utsname system{};
    uname(&system);
    return {
        {"machine", machine_name()},      {"cores", std::to_string(sysconf(_SC_NPROCESSORS_ONLN))},
        {"caches", cache_summary()},      {"kernel", std::string(system.sysname) + " " + system.release},
        {"compiler", compiler_version()}, {"glibc", gnu_get_libc_version()},
    };
}

} // namespace bench
