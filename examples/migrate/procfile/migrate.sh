# Makes what the web server serves.
mkdir -p public
echo hello >public/index.html
echo migrated
