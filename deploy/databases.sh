#!/bin/sh
# databases.sh: for each line `SERVICE PASSWORD` of standard input, SQL that makes a database of that name and an account that has rights on
# nothing else. It may be run again: an account that is there gets the password. Passwords are of letters and digits.
set -eu
while read -r name password; do
    cat <<SQL
CREATE DATABASE IF NOT EXISTS $name;
CREATE USER IF NOT EXISTS '$name'@'%' IDENTIFIED BY '$password';
ALTER USER '$name'@'%' IDENTIFIED BY '$password';
GRANT ALL ON $name.* TO '$name'@'%';
SQL
done
