# Made by scripts/reference.
_xenfs() {
    local cur prev command words=()
    local flags=""
    cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
    if [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "mount umount tree watch top describe doctor --help --version" -- "$cur")
        return
    fi
    case $command in
        mount)
            case $prev in
                -o) _xenfs_listed "$cur" "allow_other debug gid= lifecycle open_max= policy= pool_check pool_max= raw record= ro run_as= uid= umask= unverified"; return ;;
                --hypervisor) mapfile -t COMPREPLY < <(compgen -W "auto privcmd simulator" -- "$cur"); return ;;
                --faults) compopt -o default; return ;;
                --ready-fd) compopt -o default; return ;;
            esac
            flags="-h --help -o --hypervisor --faults --no-hypercall-device --ready-fd -v --verbose"
            ;;
        umount)
            case $prev in
            esac
            flags="-h --help -l --lazy"
            ;;
        tree)
            case $prev in
            esac
            flags="-h --help"
            ;;
        watch)
            case $prev in
                --until) compopt -o default; return ;;
                --timeout) compopt -o default; return ;;
                --reconnect) compopt -o default; return ;;
                --interval) compopt -o default; return ;;
            esac
            flags="-h --help --json --until --timeout --all --reconnect --interval"
            ;;
        top)
            case $prev in
                -n|--iterations) compopt -o default; return ;;
                -d|--delay) compopt -o default; return ;;
                --sort) mapfile -t COMPREPLY < <(compgen -W "domid name state cpu time memory max vcpus type cpupool" -- "$cur"); return ;;
                --filter) compopt -o default; return ;;
            esac
            flags="-h --help --once --batch --json -n --iterations -d --delay --sort --reverse --filter --vcpus"
            ;;
        describe)
            case $prev in
            esac
            flags="-h --help"
            ;;
        doctor)
            case $prev in
            esac
            flags="-h --help --json"
            ;;
        *) return ;;
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    else
        compopt -o default # paths are the shell's
        COMPREPLY=()
    fi
}
# -o: what follows the last comma is completed, and no blank is put behind what wants a value.
_xenfs_listed() {
    local cur=$1 head=""
    [[ $cur != *,* ]] || head=${cur%,*},
    mapfile -t COMPREPLY < <(compgen -P "$head" -W "$2" -- "${cur##*,}")
    compopt -o nospace
}
complete -F _xenfs xenfs
