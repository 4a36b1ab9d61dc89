# Net::TFTP as a command: perl client.pl get|put HOST PORT REMOTE LOCAL BLKSIZE
use strict;
use Net::TFTP;
my ($verb, $host, $port, $remote, $local, $blksize) = @ARGV;
my $client = Net::TFTP->new($host, Port => $port, BlockSize => $blksize, Timeout => 2, Retries => 3);
$client->binary;
my $done = $verb eq "get" ? $client->get($remote, $local) : $client->put($local, $remote);
if (!defined $done) { print STDERR ($client->error || "no reason given"), "\n"; exit 1 }
