#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# usage: examples/run.sh [photo] [text file] [--words n]
#
# Builds the examples and runs them:
#   * softmax of a std::vector, and of an Eigen matrix;
#   * a next-word model counted from the text file (default: the GPL that comes with Debian), of which at most n words are
#     read (default 200000), with a plot of the weights that it gives the words: build/examples/next_word.png;
#   * a gallery of the photo, a PNG or JPEG file, pooled in several ways and with similar patches merged:
#     build/examples/gallery_pool.png and gallery_tokens.png. Default: a portrait by NASA, taken from the Debian package
#     python3-skimage without installing it; without a network a zone plate.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

photo="" credit="" text=()
for argument in "$@"; do
    case $argument in
        -h | --help)
            sed -n '4,/^set -e/{/^set -e/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        *.png | *.PNG | *.jpg | *.JPG | *.jpeg | *.JPEG) photo=$argument ;;
        *) text+=("$argument") ;;
    esac
done

# The preset `release` in a build tree of its own: that of the benches needs more than the examples do. Of the library
# only what they call, half of it.
build="$root/build/examples"
families="softmax;softpick;sparse_softmax;top_k;pool;soft_pool;gem;ada_pool;ada_unpool;token_merge;token_cluster"
"$root/cmake/bootstrap.sh" build examples
(
    cd "$root"
    cmake --preset release -B "$build" -DTARN_BUILD_BENCH=OFF -DTARN_DISPATCH_FAMILIES="$families" --log-level=NOTICE >/dev/null
    cmake --build "$build" --target tarn_examples
)

# show <program> [argument]...: runs an example below a headline.
show() {
    printf '\n== examples/%s.cpp\n\n' "$1"
    "$build/examples/$1" "${@:2}"
}

# provide_photo: sets photo and credit to a picture of a Debian package, of which nothing but that is kept.
provide_photo() {
    local package=python3-skimage file=usr/lib/python3/dist-packages/skimage/data/astronaut.png
    local kept="$build/photo/astronaut.png"
    if [[ -e /$file ]]; then
        kept=/$file
    elif [[ ! -e $kept ]]; then
        mkdir -p "$build/photo"
        echo "taking a photograph from the Debian package $package (20 MB)"
        if ! (cd "$build/photo" && apt-get download -qq "$package" 2>/dev/null) ||
            ! dpkg-deb --fsys-tarfile "$build/photo/$package"_*.deb | tar -xO "./$file" >"$kept.part"; then
            rm -rf "$build/photo"
            echo "no photograph ($package cannot be downloaded): a zone plate instead" >&2
            return
        fi
        mv "$kept.part" "$kept"
        rm -f "$build/photo/$package"_*.deb
    fi
    photo=$kept credit="NASA, public domain; from Debian's $package"
}

show softmax_vector
show softmax_eigen
table="$build/next_word.tsv" picture="$build/next_word.png"
show next_word --table "$table" ${text[@]+"${text[@]}"}
/usr/bin/python3 "$root/examples/next_word/plot.py" "$table" "$picture"
printf '\nThe weights as a plot: %s\n' "${picture#"$root"/}"
[[ $photo ]] || provide_photo
show gallery ${photo:+"$photo"} --credit "$credit" --output "$build"
