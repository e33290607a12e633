docker run -d --name services cfe-image "/usr/bin/python3 /srv/api.py" "/etc/init.d/web start"
