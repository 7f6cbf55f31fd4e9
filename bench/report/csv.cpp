// SPDX-License-Identifier: BSD-3-Clause
#include <report/csv.hpp>

#include <stdexcept>

namespace bench {
namespace {

const char* name_of(role kind) {
    switch (kind) {
    case role::movement:
        return "movement";
    case role::baseline:
        return "baseline";
    case role::peer:
        return "peer";
    case role::own:
        return "own";
    }
    return "";
}

} // namespace

csv_writer::csv_writer(const std::string& path, const machine_facts& machine) {
    if (path.empty()) {
        return;
    }
    out_.open(path);
    if (!out_) {
        throw std::runtime_error("cannot write " + path);
    }
    for (const auto& [name, value] : machine) {
        out_ << "# " << name << ": " << value << "\n";
    }
    out_ << "family,shape,axis,dtype,threads,condition,input,method,tier,role,version,year,missing,rounds,ns per call,"
            "ns per call (lower quartile),ns per element,max ULP";
    for (const char* name : yardsticks) {
        out_ << ",of " << name;
    }
    out_ << std::endl;
}

void csv_writer::write(const row& r) {
    for (const figure& f : r.figures) {
        out_ << r.family() << ',' << r.of.shape() << ',' << r.of.axis << ',' << facts_of(r.of.type).name << ','
             << r.of.threads << ',' << name_of(r.state) << ',' << f.input << ',' << f.work.name << ',' << f.work.tier
             << ',' << name_of(f.work.kind) << ',' << f.work.version << ',' << f.work.year << ",\"" << f.work.missing
             << "\"," << f.rounds << ',' << f.call * 1e9 << ',' << f.call_quartile * 1e9 << ','
             << f.call * 1e9 / static_cast<double>(r.of.size()) << ',';
        if (f.max_ulp) {
            out_ << *f.max_ulp;
        }
        for (const std::optional<double>& ratio : f.ratio) {
            out_ << ',';
            if (ratio) {
                out_ << *ratio;
            }
        }
        out_ << '\n';
    }
    out_.flush();
}

} // namespace bench
