# Debian's releases as folders. Sourced from the repository's root; the caller is root
# and has debootstrap.

# debian_release SUITE PACKAGES ROOT unpacks a release with these packages, separated by
# commas: 40 s to 2 min, 200 to 700 MB. DEBIAN_MIRROR names another mirror than apt's.
debian_release() {
  local mirror=${DEBIAN_MIRROR-}
  # shellcheck disable=SC2016 # $(SITE) is apt's
  [[ -n $mirror ]] || mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | awk 'NR == 1')
  rm -rf "$3.partial"
  debootstrap --variant=minbase --include="$2" "$1" "$3.partial" ${mirror:+"$mirror"} >"$3.log" 2>&1 ||
    { tail -n 5 "$3.log" >&2; return 1; }
  mv "$3.partial" "$3"
}
