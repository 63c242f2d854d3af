#!/usr/bin/env tclsh
# Chat: each line goes to everybody as `NAME: text`. A client is guest-N until it sends `/name NAME`.
# The same as chat.py beside it, with file events in place of coroutines.
#
# Try it:   tclsh chat.tcl --port 7777    and in two other terminals    nc 127.0.0.1 7777
package require Tcl 8.6

set maxLine 65536     ;# bytes of one line
set maxQueue 1048576  ;# bytes that may wait for a slow client before it is dropped
set guests 0
array set name {}     ;# channel -> name, of everybody here

proc names {} { lmap {chan name} [array get ::name] { set name } }

# Whether there is still room: a non-blocking channel queues what can't leave yet, so nobody waits for a slow client.
proc tell {chan text} {
    expr {![catch {puts $chan $text}] && [chan pending output $chan] <= $::maxQueue}
}

proc tellAll {text} {
    set slow {}
    foreach chan [array names ::name] {
        if {![tell $chan $text]} { lappend slow $chan }
    }
    foreach chan $slow { leave $chan }
}

proc arrive {chan host port} {
    chan configure $chan -blocking 0 -buffering line -encoding utf-8 -translation lf
    while {[set guest guest-[incr ::guests]] in [names]} {}
    set ::name($chan) $guest
    chan event $chan readable [list hear $chan]
    tellAll "* $guest joined"
}

proc leave {chan} {
    if {![info exists ::name($chan)]} return  ;# found slow again while the first leave was told
    set old $::name($chan)
    unset ::name($chan)
    catch {close $chan}
    tellAll "* $old left"
}

proc setName {chan new} {
    if {![regexp {^\S{1,32}$} $new]} {
        tell $chan "* a name is one word of at most 32 characters"
    } elseif {$new in [names]} {
        tell $chan "* $new is taken"
    } else {
        set old $::name($chan)
        set ::name($chan) $new
        tellAll "* $old is now $new"
    }
}

proc hear {chan} {
    if {[catch {gets $chan line} length] || ($length < 0 && [eof $chan])} {
        leave $chan
    } elseif {$length < 0} {
        # No whole line yet.
        if {[chan pending input $chan] > $::maxLine} { leave $chan }
    } elseif {[regexp {^/name( .*)?$} [set line [string trimright $line \r]] -> new]} {
        setName $chan [string trim $new]
    } else {
        tellAll "$::name($chan): $line"
    }
}

set port [expr {[lindex $argv 0] eq "--port" ? [lindex $argv 1] : 0}]
set server [socket -server arrive -myaddr 127.0.0.1 $port]
puts "listening on 127.0.0.1:[lindex [chan configure $server -sockname] 2]"
flush stdout
vwait forever
